"""The audit log of a gateway under load, on each edge: one sound chain over many files, after a clean stop and after a
kill."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ..support.audit import notes_of_a_kill, verdict
from ..support.edges import OURS
from ..support.gateway import Gateway, direct, posted, until, write_routes
from ..support.kept_connection import KeptConnection
from ..support.upstream import Engine

CLIENTS = 4
SMALL_FILES = f"""#!{sys.executable}
import sys
from pathlib import Path
from nexus_gateway.cli import main
from nexus_gateway.straight.compiled import Compiled
from nexus_gateway.telemetry.audit import AuditLog
AuditLog.__init__.__kwdefaults__["largest"] = 40_000
tell = Compiled._tell
def told(self, lines, number, decisions):
    Path(__file__).with_name("passed-in-c").touch()
    tell(self, lines, number, decisions)
Compiled._tell = told
sys.exit(main())
"""
"""`nexus-gateway` with files of 40 kB, which are 64 MB else; it tells whether C has written any lines."""


class Audited:
    def __init__(self, folder: Path, engine: Engine, edge: str) -> None:
        self.audit, self.edge, self._folder = folder / "audit", edge, folder
        self._bin = folder / "bin"
        self._bin.mkdir()
        (self._bin / "nexus-gateway").write_text(SMALL_FILES)
        (self._bin / "nexus-gateway").chmod(0o755)
        document = direct("ok", engine.url("ok"))
        document["policies"] = {"dev-key": {"requests_per_minute": 1_000_000}}
        self._routes = write_routes(folder / "routes", {"ok": document})

    def serve(self) -> Gateway:
        flags = ("--routes", str(self._routes), "--audit", str(self.audit))
        return Gateway(self._folder, *flags, env={"GATEWAY_EDGE": self.edge}, bin_folder=self._bin).wait()

    @property
    def passed_in_c(self) -> bool:
        return (self._bin / "passed-in-c").exists()

    @property
    def files(self) -> list[Path]:
        return sorted(self.audit.iterdir())

    def has_written(self) -> None:
        until(lambda: self.audit.exists() and len(self.files) > 5, "it has written many files")

    def decisions(self) -> list[dict[str, Any]]:
        """But for the last, where a kill has cut it off."""
        whole = [line for file in self.files for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"]
        return [told for line in whole if (told := json.loads(line))["kind"] == "decision"]


@pytest.fixture(params=[*OURS, "asgi"])
def audited(tmp_path: Path, engine: Engine, request: pytest.FixtureRequest) -> Audited:
    return Audited(tmp_path, engine, request.param)


def ask(url: str, over: threading.Event) -> list[str]:
    """Whole answers, streams and refusals by turns, until it is over or the gateway is gone; the ids of the answers."""
    ids = []
    with closing(KeptConnection(url)) as connection:
        for number in count():
            if over.is_set():
                return ids
            body = {"model": "none" if number % 7 == 6 else "ok", "stream": number % 2 == 1, "messages": []}
            try:
                answer = connection.ask(posted(json.dumps(body).encode()))
            except (OSError, HTTPException):
                return ids
            assert answer.status == (404 if body["model"] == "none" else 200)
            ids.append(answer.headers["x-request-id"])
    return ids


def asked_while(gateway: Gateway, happens: Callable[[], object]) -> list[str]:
    """The ids of what several clients were answered."""
    over = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask, gateway.url, over) for _ in range(CLIENTS)]
        try:
            happens()
        finally:
            over.set()
        return [made for one in asking for made in one.result()]


def test_a_gateway_that_stops_has_told_of_every_answer_in_one_chain(audited: Audited) -> None:
    gateway = audited.serve()
    ids = asked_while(gateway, audited.has_written)
    assert gateway.stop() == 0
    found = verdict(audited.audit)
    assert (found["sound"], found["lost"], found["notes"]) == (True, 0, [])
    assert sorted(line["request_id"] for line in audited.decisions()) == sorted(ids)
    assert {line["decision"] for line in audited.decisions()} == {"allowed", "refused"}
    assert audited.passed_in_c is (audited.edge == "native")


def test_a_gateway_that_is_killed_leaves_a_chain_that_holds_and_the_next_begins_its_own(audited: Audited) -> None:
    gateway = audited.serve()

    def killed() -> None:
        audited.has_written()
        gateway.process.kill()
        gateway.process.wait()

    ids = asked_while(gateway, killed)
    found = verdict(audited.audit)
    assert (found["sound"], found["lost"]) == (True, 0)
    assert notes_of_a_kill(audited.audit) in (["open"], ["cut", "open"])
    told = {line["request_id"] for line in audited.decisions()}
    assert len(told) > 200
    assert len(told - {*ids}) <= CLIENTS, "but for those under way it tells of answers that were given"
    again = audited.serve()
    assert again.ask("ok").status_code == 200
    assert again.stop() == 0
    after = verdict(audited.audit)
    assert (after["sound"], after["lost"], after["notes"]) == (True, 0, found["notes"])
    assert after["allowed"] == found["allowed"] + 1
    assert audited.passed_in_c is (audited.edge == "native")
