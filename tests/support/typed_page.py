"""A page's commands, typed by the test that has the servers which they ask."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from .followed import BESIDE
from .gateway import BIN
from .repository import ROOT
from .shell import said_by

_SECONDS = 120.0


def typed(test: str, page: str, here: Mapping[str, str], home: Path, then: str = "", **environment: str) -> str:
    """What is printed in `home`, by what BESIDE has of the page for `test` (a module's `__file__`). `then`: a command
    that shows what variables are for. Fails where a command fails, or what the page says does not come out."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there: run `make services`")
    told = BESIDE[str(Path(test).relative_to(ROOT))][page]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_", "MLFLOW"))}
    everywhere = {**clean, "PATH": f"{BIN}:{clean['PATH']}", **environment}
    said = said_by(f"{told.script(page, here)}\n{then}", home, everywhere, _SECONDS)
    missing = [expected for expected in told.says if expected not in said]
    assert missing == [], f"{missing} is not said:\n{said}"
    return said
