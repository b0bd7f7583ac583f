"""Whether an upstream can be where its route file says."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.routes_file import UpstreamFile
from nexus_gateway.upstreams.schemes import SCHEMES


def check_addresses(place: str, file: UpstreamFile, *, load: bool) -> None:
    """Raises ConfigRefused. `load`: also what the adapters need before they can be asked, which may take seconds."""
    for url in file.urls:
        parts = _parts(f"{place}.url", url)
        scheme = SCHEMES.get(parts.scheme)
        if scheme is None or not parts.hostname:
            forms = ", ".join(scheme.form for scheme in SCHEMES.values())
            raise ConfigRefused(f"{place}.url: {url!r}: write {forms}")
        if parts.query and not scheme.query:
            raise ConfigRefused(f"{place}.url: {url!r}: no query in an address")
        try:
            scheme.check(file, parts)
            if load:
                scheme.prepare()
        except ValueError as error:
            raise ConfigRefused(f"{place}: {error}") from None
    if file.api_base is not None:
        parts = _parts(f"{place}.api_base", file.api_base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ConfigRefused(f"{place}.api_base: {file.api_base!r}: write https://host/path")


def _parts(place: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise ConfigRefused(f"{place}: {url!r}: {error}") from None
    if parts.username or parts.password or parts.fragment:
        raise ConfigRefused(f"{place}: {url!r}: no credentials, query or fragment in an address")
    if re.search(r"[\s\\]", url):
        raise ConfigRefused(f"{place}: {url!r}: no white space or backslash")
    return parts
