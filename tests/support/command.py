"""The command `nexus` in this process, as its entry point runs it: a hundred calls a second instead of two."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from nexus_release import cli


@dataclass
class Told:
    status: int
    out: str
    err: str


@dataclass
class Nexus:
    """Works in the current folder, with the environment's variables."""

    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Told:
        """What was said. Fails where a line of it is not printable."""
        self.monkeypatch.setattr(sys, "argv", ["nexus", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self.capture.readouterr()
        for line in (said.out + said.err).split("\n"):
            assert line.isprintable(), ascii(line)
        return Told(int(ended.value.code or 0), said.out, said.err)
