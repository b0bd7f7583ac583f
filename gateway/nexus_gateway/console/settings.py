"""What the process environment sets of the console."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused

VARIABLES: tuple[tuple[str, str, str], ...] = (
    ("GATEWAY_CONSOLE", "true", "The console at `/`; `false`: there is no such page."),
    (
        "GATEWAY_CONSOLE_CHECKOUT",
        "",
        "Folder that holds `gitops/` and `environments/`, read only: releases, canaries and prices are shown from it.",
    ),
    ("GATEWAY_CONSOLE_ENVIRONMENT", "", "Which environment of the checkout this gateway serves: `prod`."),
)
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class ConsoleSettings:
    shown: bool = True
    checkout: Path | None = None
    """Root of a repository, or of what is mounted of one; None where there is none."""
    environment: str = ""
    """Of the checkout; empty where releases alone are shown."""


def read_console_settings(environ: Mapping[str, str], shown: bool) -> ConsoleSettings:
    """Raises ConfigRefused. A folder that is not there stops nothing, and the page tells it: a mount may come late."""
    folder = environ.get("GATEWAY_CONSOLE_CHECKOUT", "")
    environment = environ.get("GATEWAY_CONSOLE_ENVIRONMENT", "")
    if environment and not folder:
        raise ConfigRefused(f"GATEWAY_CONSOLE_ENVIRONMENT: {environment!r}: set GATEWAY_CONSOLE_CHECKOUT too")
    if environment and not _ENVIRONMENT.fullmatch(environment):
        raise ConfigRefused(f"GATEWAY_CONSOLE_ENVIRONMENT: {environment!r}: write a folder's name of `environments/`")
    return ConsoleSettings(shown, Path(folder) if folder else None, environment)
