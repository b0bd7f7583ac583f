"""`nexus-gateway WORD …` in this process: dozens of calls that would each start a Python."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from nexus_gateway.cli import gateway


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Of `--json`."""
        assert self.out, self.err
        return json.loads(self.out)


def command(*words: str | Path) -> Said:
    done = CliRunner().invoke(gateway, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Said(done.exit_code, done.stdout, done.stderr)
