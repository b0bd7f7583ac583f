"""The audit log tells who was let through, and shows when somebody has changed it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nexus_gateway.cli import gateway
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.chain import Tip, bound
from nexus_gateway.telemetry.record import RequestRecord

from ..support.gateway import until
from ..support.repository import ROOT

SALT = b"salt of the tests"
ONE_BATCH = 1
"""Bytes of a file that is full after one batch."""
SCHEMA = Draft202012Validator(json.loads((ROOT / "gateway" / "audit.schema.json").read_text()))


def record(number: int = 0, **more: Any) -> RequestRecord:
    given = {"status": 200, "key_id": "team-a", "route": "chat", "upstream": "chat-1", "release": "a" * 64}
    ids = {"request_id": f"r-{number}", "trace_id": f"{number:032x}", "revision": "b" * 12}
    return RequestRecord("POST", "/v1/chat/completions", "203.0.113.7", 1.0, **{**ids, **given, **more})


REFUSED: dict[str, Any] = {"status": 404, "code": "model_not_found", "route": "", "upstream": "", "release": ""}


def written(folder: Path, count: int = 6, largest: int = 1 << 20) -> list[Path]:
    """The files of a log that was stopped cleanly; every third decision is a refusal."""
    log = AuditLog(folder, SALT, "gateway-0", largest=largest)
    log.start()
    for number in range(count):
        log.write(record(number, **(REFUSED if number % 3 == 2 else {})), "chat")
        if largest == ONE_BATCH:
            until_written(folder, number)
    log.stop()
    assert log.dropped == 0
    return sorted(folder.iterdir())


def until_written(folder: Path, number: int) -> None:
    until(lambda: f'"r-{number}"' in newest(folder).read_text(), f"decision {number} is written")


def newest(folder: Path) -> Path:
    return max(folder.iterdir())


def lines(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def verify(*paths: Path) -> Result:
    return CliRunner().invoke(gateway, ["audit", "verify", *map(str, paths)])


def verdict(*paths: Path) -> dict[str, Any]:
    done = CliRunner().invoke(gateway, ["audit", "verify", "--json", *map(str, paths)])
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if found["sound"] else 1)
    return found


def faults(*paths: Path) -> list[tuple[str, int, str]]:
    return [(Path(found["file"]).name, found["line"], found["what"]) for found in verdict(*paths)["faults"]]


def rewritten(file: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))


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


# One that changes what was written.


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (file,) = written(tmp_path_factory.mktemp("sound"))
    return file


@given(data=st.data())
@settings(max_examples=300)
def test_one_changed_byte_is_found_at_its_line(
    data: st.DataObject, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = sound.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != before[place]))
    file = tmp_path_factory.mktemp("changed") / sound.name
    file.write_bytes(before[:place] + bytes([byte]) + before[place + 1 :])
    ((_, line, what),) = faults(file)
    assert (line, what) == (before[:place].count(b"\n") + 1, "hash")


@pytest.mark.parametrize("byte", [b" ", b"}", b"\r", b"0", b"\x00", b"\xff"])
def test_a_changed_end_of_a_line_is_found_at_the_line(sound: Path, tmp_path: Path, byte: bytes) -> None:
    file = tmp_path / sound.name
    whole = sound.read_bytes().splitlines()
    for number in range(len(whole)):
        ends = [byte if place == number else b"\n" for place in range(len(whole))]
        file.write_bytes(b"".join(line + end for line, end in zip(whole, ends, strict=True)))
        assert faults(file) == [(file.name, number + 1, "hash")]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda was: was[:3] + was[4:], 4),
        (lambda was: [*was[:3], was[4], was[3], *was[5:]], 4),
        (lambda was: [*was[:5], was[2], *was[5:]], 6),
        (lambda was: was[1:], 1),
        (lambda was: [*was, was[-1]], 9),
        (lambda was: [*was, was[3]], 9),
        (lambda was: [was[0], *was], 2),
    ],
    ids=["removed", "swapped", "repeated", "headless", "closed-twice", "behind-the-end", "two-headers"],
)
def test_lines_out_of_order_are_found(sound: Path, tmp_path: Path, change: Any, line: int) -> None:
    file = tmp_path / sound.name
    file.write_bytes(sound.read_bytes())
    rewritten(file, change)
    assert faults(file) == [(file.name, line, "order")]
    assert f"{file}:{line}: order: " in verify(file).stdout


def test_a_removed_line_is_told_as_missing(sound: Path, tmp_path: Path) -> None:
    file = tmp_path / sound.name
    file.write_bytes(sound.read_bytes())
    rewritten(file, lambda was: [*was[:2], *was[4:]])
    assert f"{file}:3: order: lines that are missing before it: 2\n" in verify(file).stdout


def forged(file: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], tip: Tip) -> None:
    """The file with new hashes from `tip` on, as by somebody who knows how they are made."""
    pieces = []
    for line in change(lines(file)):
        del line["hash"]
        piece, tip = bound(tip, line)
        pieces.append(piece)
    file.write_bytes(b"".join(pieces))


@pytest.mark.parametrize(
    ("change", "tip", "line"),
    [
        (lambda was: [*was, {**was[1]}], Tip(), 9),
        (lambda was: was, Tip(4, "f" * 64), 1),
        (lambda was: [*was[:3], *was[4:]], Tip(), 7),
    ],
    ids=["behind-the-end", "begins-in-the-middle", "other-count"],
)
def test_a_forged_chain_that_contradicts_itself_is_found(
    sound: Path, tmp_path: Path, change: Any, tip: Tip, line: int
) -> None:
    file = tmp_path / sound.name
    file.write_bytes(sound.read_bytes())
    forged(file, change, tip)
    assert faults(file) == [(file.name, line, "order")]


def test_a_forged_file_does_not_fit_the_next_one(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    forged(files[0], lambda was: [{**line, "time": "2026-01-01T00:00:00.000Z"} for line in was], Tip())
    assert faults(tmp_path) == [(files[1].name, 1, "order")]


def test_a_line_that_is_sound_by_itself_but_was_put_in_is_found(sound: Path, tmp_path: Path) -> None:
    (other,) = written(tmp_path / "other")
    file = tmp_path / sound.name
    file.write_bytes(sound.read_bytes())
    rewritten(file, lambda was: [*was[:3], other.read_bytes().splitlines(keepends=True)[3], *was[4:]])
    assert faults(file) == [(file.name, 4, "order")]


def test_a_file_that_is_cut_off_is_told_and_is_no_fault(sound: Path, tmp_path: Path) -> None:
    """A kill leaves the same: which of both it was the file cannot tell, only the last hash kept elsewhere."""
    file = tmp_path / sound.name
    whole = sound.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for place in range(ends[0], len(whole)):
        file.write_bytes(whole[:place])
        found = verdict(file)
        assert found["faults"] == []
        assert [note["what"] for note in found["notes"]] == (["open"] if place in ends else ["cut", "open"])


def test_files_that_were_rotated_are_one_chain(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    assert len(files) > 3
    for before, after in pairwise(files):
        assert lines(after)[0]["previous"] == lines(before)[-1]["hash"]
        assert lines(before)[-1]["next"] == after.name
    assert verdict(tmp_path)["notes"] == []
    assert verify(tmp_path).exit_code == 0


def test_a_missing_file_of_a_chain_is_named(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    files[1].unlink()
    assert faults(tmp_path) == [(files[2].name, 1, "gap")]
    for file in files[2:]:
        file.unlink()
    assert faults(tmp_path) == [(files[0].name, len(lines(files[0])), "gap")]
    assert files[1].name in verify(tmp_path).stdout


def test_a_file_whose_end_is_missing_is_a_fault_where_the_chain_goes_on(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    rewritten(files[1], lambda was: was[:-1])
    assert faults(tmp_path) == [(files[1].name, len(lines(files[1])), "order")]


def test_files_that_were_not_asked_for_are_only_noted(tmp_path: Path) -> None:
    files = written(tmp_path, count=4, largest=ONE_BATCH)
    assert [note["what"] for note in verdict(files[1])["notes"]] == ["begins", "open"]
    files[0].unlink()  # as at the end of its time
    assert [note["what"] for note in verdict(tmp_path)["notes"]] == ["begins"]


def test_a_second_file_for_the_same_part_is_found(tmp_path: Path) -> None:
    files = written(tmp_path / "a", count=2, largest=ONE_BATCH)
    copy = tmp_path / "a" / "audit-copy.jsonl"
    copy.write_bytes(files[1].read_bytes())
    assert [what for _, _, what in faults(tmp_path / "a")] == ["order"]
    assert "there is another file for the same part of the chain" in verify(tmp_path / "a").stdout


def test_nothing_to_verify_ends_with_2_and_says_what(tmp_path: Path) -> None:
    for path, why in [(tmp_path, "no files audit-*.jsonl in it"), (tmp_path / "none", "no such file")]:
        done = verify(path)
        assert done.exit_code == 2
        assert done.stderr == f"nexus-gateway: {path}: {why}\n"


# What happens to a process.

FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
from tests.gateway.test_audit import SALT, AuditLog, record, until_written
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
    notes = [note["what"] for note in found["notes"]]
    assert notes in (["open"], ["cut", "open"])


FULL = """
import resource, sys
from pathlib import Path
from tests.gateway.test_audit import SALT, AuditLog, record, until
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
