"""The one refusal of a token."""

from __future__ import annotations


class BadToken(Exception):
    """Closed, and not retried. Its text is for logs alone and holds nothing of the token."""
