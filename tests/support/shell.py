"""Commands of a page, run by a shell as a reader would, but with free ports."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from nexus_release.local.free_ports import free_port

PORT = re.compile(r"(?<=[:= ])(?:80\d\d|3000|9000)(?=[\s/\"]|$)", re.MULTILINE)


def with_free_ports(texts: list[str]) -> list[str]:
    """The same port is the same in all of them."""
    ports = {port: str(free_port()) for text in texts for port in PORT.findall(text)}
    return [PORT.sub(lambda found: ports[found.group()], text) for text in texts]


def said_by(script: str, home: Path, environment: Mapping[str, str], seconds: float) -> str:
    """What it prints in `home`. What it has started has ended, however it ends."""
    log = home / "said"
    with log.open("wb") as said:
        # A session of its own: whatever it leaves behind is ended with it.
        shell = subprocess.Popen(
            ["bash", "-ec", script],
            cwd=home,
            env=dict(environment),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            status = shell.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    assert status == 0, log.read_text()
    return log.read_text()
