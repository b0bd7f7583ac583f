"""How configuration is refused: file, path in it, what was found, what to write."""

from __future__ import annotations

from pydantic import ValidationError


class ConfigRefused(Exception):
    """Configuration that is not taken. The one before it serves on."""


def first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    found = repr(first.get("input"))
    return f"{place}: {first['msg']} (found {found[:80]})"
