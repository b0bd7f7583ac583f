"""URLs of servers with a password in them, of which no error shows a word."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from nexus_release.errors import BadInput


def server_url(field: str, url: str, form: str) -> SplitResult:
    """Its parts; `form` is how it is written. Raises BadInput, as for a password whose signs make another URL of it."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0 and not parts.fragment and "@" not in parts.path
    except ValueError:
        whole = False
    if not whole:
        raise BadInput(field, "its URL", f"give {form}, and write #, /, ?, @ and : of a password as %23 and so on")
    return parts
