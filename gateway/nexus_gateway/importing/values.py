"""Numbers and switches of LiteLLM's file, which may stand in its environment instead."""

from __future__ import annotations

import math

from nexus_gateway.importing.litellm_file import FROM_ENVIRONMENT, LitellmFile
from nexus_gateway.importing.report import Ledger, Path


def plain(file: LitellmFile, value: float | str | None) -> float | None:
    """None where there is none, or where it is only in an environment that is not here."""
    if not isinstance(value, str):
        return value
    try:
        found = float(file.of_environment(value) or "")
    except ValueError:
        return None
    return found if 0 <= found < math.inf else None


def number(file: LitellmFile, ledger: Ledger, path: Path, value: float | str | None, to: str) -> float | None:
    """The same, and the ledger says where it is now."""
    found = plain(file, value)
    if value is not None and found is None:
        ledger.tell("differs", path, "reads it from its environment", f"write it yourself: {to}")
    elif value is not None:
        ledger.take(path, to)
        if isinstance(value, str):
            ledger.take(("environment_variables", value.removeprefix(FROM_ENVIRONMENT)), to)
    return found


def first(file: LitellmFile, ledger: Ledger, values: list[tuple[Path, float | str | None]], to: str) -> float | None:
    """The first that is given; the ledger says of the others that they count for nothing, as they do in LiteLLM."""
    counts: float | None = None
    for path, value in values:
        if value is None:
            continue
        if counts is None:
            counts = number(file, ledger, path, value, to)
        else:
            ledger.take(path, "nothing: the same setting stands where it counts more")
    return counts
