"""The audit log tells who was let through, whatever happens to its process or its disk."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import ZEROS, Tip, bound, bound_text
from nexus_gateway.telemetry.record import RequestRecord

from ..support.audit import (
    ONE_BATCH,
    REFUSED,
    SALT,
    SCHEMA,
    lines,
    newest,
    notes_of_a_kill,
    record,
    verdict,
    verify,
    written,
)
from ..support.gateway import until
from ..support.repository import ROOT


def test_decisions_are_told_in_order_and_the_chain_holds(tmp_path: Path) -> None:
    (file,) = written(tmp_path)
    header, *decisions, closed = lines(file)
    assert (header["kind"], header["process"], header["pid"]) == ("header", "gateway-0", os.getpid())
    assert [line["request_id"] for line in decisions] == [f"r-{number}" for number in range(6)]
    assert [line["decision"] for line in decisions] == ["allowed", "allowed", "refused"] * 2
    assert (closed["kind"], closed["count"], closed["next"]) == ("closed", 6, None)
    found = verdict(tmp_path)
    assert (found["allowed"], found["refused"], found["lost"], found["files"]) == (4, 2, 0, 1)
    assert (found["faults"], found["notes"]) == ([], [])
    assert list(found["ends"].values()) == [closed["hash"]]


def test_what_decided_is_the_key_or_the_error_condition(tmp_path: Path) -> None:
    answer, _, refusal = lines(*written(tmp_path))[1:4]
    assert answer["policy"] == f"key:{answer['principal']}"
    assert (refusal["policy"], refusal["route"], refusal["status"]) == ("model_not_found", None, 404)


def test_a_principal_is_the_same_with_the_same_salt_only(tmp_path: Path) -> None:
    found = []
    for name, salt in [("a", SALT), ("b", SALT), ("c", b"another")]:
        log = AuditLog(tmp_path / name, salt, "p")
        log.start()
        log.write(record(), "chat")
        log.stop()
        found.append(lines(*(tmp_path / name).iterdir())[1]["principal"])
    assert found[0] == found[1] != found[2]


_TEXT = st.one_of(st.sampled_from(["", "100%d", '"kind":', '","seq":1,"x":"', "\0", "caf\u00e9 \ud800"]), st.text())
_ID = st.text("0123456789abcdef", min_size=32, max_size=32)
_COUNT = st.integers(0, 1 << 70)
_ANY = {"str": "said", "int": 7, "float": 7.5, "bool": True}
_TOLD = {
    "method", "path", "client", "started", "request_id", "trace_id", "status", "key_id", "code", "route", "upstream",
    "release", "revision", "prompt_tokens", "completion_tokens",
}  # fmt: skip
_REST: dict[str, Any] = {
    one.name: _ANY[str(one.type)] for one in fields(RequestRecord) if one.name not in _TOLD and one.type in _ANY
}
"""Of a record, of which a line says nothing: where it does some day, its form has to know."""


@given(
    _ID, _ID, st.integers(100, 599), _COUNT, _COUNT, st.integers(0, 1 << 40), st.sampled_from(["", "key-1", "%b"]),
    *[_TEXT] * 6,
)  # fmt: skip
def test_a_line_made_by_form_is_the_line(
    request_id: str, trace_id: str, status: int, prompt: int, completion: int, seq: int, key_id: str,
    code: str, model: str, route: str, upstream: str, release: str, revision: str,
) -> None:  # fmt: skip
    log, tip = AuditLog(Path("nowhere"), SALT, "p"), Tip(seq, "a" * 64 if seq else ZEROS)
    told = record(
        request_id=request_id, trace_id=trace_id, status=status, key_id=key_id, code=code, route=route,
        upstream=upstream, release=release, revision=revision, prompt_tokens=prompt, completion_tokens=completion,
        **_REST,
    )  # fmt: skip
    text = log.text(1_700_000_000.25, model, told)
    assert text is not None
    assert bound_text(tip, text) == bound(tip, log.decision(1_700_000_000.25, model, told))


@pytest.mark.parametrize("own", ["4111-1111-1111-1111", "A" * 32, "0" * 31, "0" * 33])
def test_a_line_with_an_id_of_the_client_is_not_made_by_form(own: str) -> None:
    log = AuditLog(Path("nowhere"), SALT, "p")
    assert log.text(0.0, "chat", record(request_id=own)) is None
    assert log.text(0.0, "chat", record(request_id="0" * 32)) is not None


def test_every_line_is_of_the_schema(tmp_path: Path) -> None:
    files = written(tmp_path, largest=ONE_BATCH)
    assert len(files) > 2
    for line in lines(*files):
        SCHEMA.validate(line)
        assert not list(SCHEMA.iter_errors(line))
        assert list(SCHEMA.iter_errors({**line, "more": 1}))


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "audit")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name.endswith(f"-{os.getpid()}.jsonl")


def test_nothing_that_names_a_person_or_opens_a_door_is_in_the_file(tmp_path: Path) -> None:
    secrets = ["team-a", "nxs-abcdefgh12345678", "203.0.113.7", "bob@example.com", "4111111111111111"]
    log = AuditLog(tmp_path, SALT, "p")
    log.start()
    for secret in secrets:
        log.write(record(request_id=secret if "@" not in secret and secret != "team-a" else "r"), f"x {secret}")
    log.write(record(reason=" ".join(secrets), **REFUSED), "\u2028\r\n\x1b[31m\ud800")
    log.stop()
    text = newest(tmp_path).read_text()
    assert text.isascii()
    assert len(text.splitlines()) == len(secrets) + 3
    assert [secret for secret in secrets[1:] if secret in text] == []
    assert '"team-a"' not in text
    assert verify(tmp_path).exit_code == 0


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, SALT, "p", largest=20_000)
    log.start()

    def write(first: int) -> None:
        for number in range(first, first + 200):
            log.write(record(number), "chat")

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.stop()
    ids = [line["request_id"] for line in lines(*sorted(tmp_path.iterdir())) if line["kind"] == "decision"]
    assert sorted(ids) == sorted(f"r-{number}" for number in range(1600))
    assert verify(tmp_path).exit_code == 0


def test_files_that_were_rotated_are_one_chain(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    assert len(files) > 3
    for before, after in pairwise(files):
        assert lines(after)[0]["previous"] == lines(before)[-1]["hash"]
        assert lines(before)[-1]["next"] == after.name
    assert verdict(tmp_path)["notes"] == []
    assert verify(tmp_path).exit_code == 0


FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
from nexus_gateway.telemetry.audit import AuditLog
from tests.support.audit import SALT, record, until_written
log = AuditLog(Path(sys.argv[1]), SALT, "p", largest=200_000)
log.start()
for number in count():
    log.write(record(number), "chat")
    if number % 300 == 299:
        until_written(Path(sys.argv[1]), number - 200)
"""


def test_a_killed_process_leaves_a_chain_that_holds(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", FOR_EVER, str(tmp_path)], cwd=ROOT)
    until(lambda: len(list(tmp_path.iterdir())) > 2, "it has written much")
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = verdict(tmp_path)
    assert (found["sound"], found["lost"]) == (True, 0)
    assert found["allowed"] > 300
    assert notes_of_a_kill(tmp_path) in (["open"], ["cut", "open"])


FULL = """
import resource, sys
from pathlib import Path
from nexus_gateway.telemetry.audit import AuditLog
from tests.support.audit import SALT, record
from tests.support.gateway import until
log = AuditLog(Path(sys.argv[1]), SALT, "p")
log.start()
log.write(record(0), "chat")
def size(): return sum(file.stat().st_size for file in Path(sys.argv[1]).iterdir())
until(lambda: b"r-0" in next(Path(sys.argv[1]).iterdir()).read_bytes(), "the first is written")
before, (_, most) = size(), resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (before + 100, most))
for number in range(1, 4):
    log.write(record(number), "chat")
until(lambda: log.dropped == 3, "the disk is full")
assert "File too large" in log.problem, log.problem
assert size() == before
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.write(record(4), "chat")
log.stop()
assert (log.dropped, log.problem) == (3, "")
"""


def test_a_full_disk_loses_decisions_and_a_gap_tells_how_many(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, check=True)
    assert [line["kind"] for line in lines(newest(tmp_path))] == ["header", "decision", "gap", "decision", "closed"]
    found = verdict(tmp_path)
    assert (found["sound"], found["allowed"], found["lost"]) == (True, 2, 3)
    assert [note["what"] for note in found["notes"]] == ["gap"]
    for line in lines(newest(tmp_path)):
        SCHEMA.validate(line)


def test_a_folder_that_cannot_be_made_is_told_at_the_start_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    log = AuditLog(tmp_path / "taken", SALT, "p")
    log.start()
    assert log.problem == f"{tmp_path / 'taken'}: File exists"
    log.write(record(0), "chat")
    until(lambda: log.dropped == 1, "the decision is lost")
    (tmp_path / "taken").unlink()
    log.stop()
    assert [line["kind"] for line in lines(newest(tmp_path / "taken"))] == ["header", "gap", "closed"]


def test_a_stop_with_nowhere_to_write_ends_and_counts(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    log = AuditLog(tmp_path / "taken", SALT, "p")
    log.start()
    log.write(record(0), "chat")
    log.stop()
    assert log.dropped == 1


def test_rotation_that_finds_no_room_stays_with_the_old_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a", SALT, "p", largest=ONE_BATCH)
    log.start()
    moved = tmp_path / "moved"
    (tmp_path / "a").rename(moved)
    (tmp_path / "a").write_text("no folder")
    log.write(record(0), "chat")
    log.stop()
    assert log.dropped == 0
    assert [line["kind"] for line in lines(newest(moved))] == ["header", "decision", "closed"]
    assert verify(moved).exit_code == 0
