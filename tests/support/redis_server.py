"""A real Redis on a free port, that can be stopped, stalled and killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import redis

from nexus_release.local.free_ports import free_port

from .gateway import code, until

_PATIENT = f"""#!{sys.executable}
import sys
from nexus_gateway.cli import main
from nexus_gateway.idempotency import shared as keys
from nexus_gateway.kept_responses import shared as responses
keys.ASK_SECONDS = responses.ASK_SECONDS = 25.0
sys.exit(main())
"""


def patient_bin(folder: Path) -> Path:
    """In it is a `nexus-gateway` that waits for idempotency keys and kept responses as long as a test waits for an
    answer: a machine that stands still for the second that it waits else is no Redis that is away."""
    made = folder / "patient-bin"
    made.mkdir(exist_ok=True)
    (made / "nexus-gateway").write_text(_PATIENT)
    (made / "nexus-gateway").chmod(0o755)
    return made


def kept(told: httpx.Response) -> httpx.Response | None:
    """An answer that Redis has kept; None where it has not answered the gateway within the second that it has. Nothing
    else is waited out."""
    if told.status_code == 503 and code(told) == "idempotency_unavailable":
        return None
    assert told.status_code == 200, told.text
    return told


class RedisServer:
    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """On the same port each time, empty."""
        command = ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--bind", "127.0.0.1"], cwd=self._folder, stdout=log)
        until(self._answers, "Redis answers")
        return self

    def stall(self) -> None:
        """It takes connections and says nothing."""
        self._running.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """It answers what is read, and takes nothing more."""
        with redis.Redis(port=self.port) as client:
            client.config_set("maxmemory", 1)

    def kill(self) -> None:
        self._running.kill()
        self._running.wait(10)

    def keys(self) -> list[bytes]:
        with redis.Redis(port=self.port) as client:
            found = client.keys("*")
            assert isinstance(found, list)
            return found

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
