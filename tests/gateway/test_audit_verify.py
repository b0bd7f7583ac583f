"""Whatever is changed in an audit log is found, at the line where it was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_gateway.telemetry.chain import Tip, bound, canonical, line_hash
from nexus_gateway.telemetry.masking import masked

from ..support.audit import ONE_BATCH, faults, lines, rewritten, verdict, verify, written


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


_within = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["hash", "kind", "of"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["actor", "about", "zone", "lost"]), _within))
@example({"actor": {"kind": "person"}})
@example({"actor": '"kind":', "zone": {"kind": "x"}})
def test_a_line_has_its_hash_among_its_own_names_whatever_is_within(fields: dict[str, Any]) -> None:
    piece, tip = bound(Tip(), {**fields, "kind": "gap"})
    line = json.loads(piece)
    assert (line["hash"], line["kind"]) == (tip.hash, "gap")
    assert line_hash(line) == tip.hash
    assert piece == canonical(line) + b"\n"


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
    nothing = "no files audit-*.jsonl in it; name the folder of `serve --audit`"
    for path, why in [(tmp_path, nothing), (tmp_path / "none", "no such file")]:
        done = verify(path)
        assert done.exit_code == 2
        assert done.stderr == f"nexus-gateway: {path}: {why}\n"


_VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.lists(st.text()))


@given(st.dictionaries(st.text(), _VALUES))
@example({"a": "\x7f", "b": "half \ud800"})
@example({"\x7f": "caf\u00e9", "\n": '"\\/\x00\x1f'})
@example({"a": 1 << 70})
@example({"a": 1e16, "b": [1.0]})
@settings(deadline=None)
def test_a_line_has_the_form_that_json_gives_it_whoever_writes_it(line: dict[str, Any]) -> None:
    text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    assert canonical(line) == text


@given(
    st.one_of(st.text("0123456789abcdef", min_size=32, max_size=32), st.text("0123456789", min_size=32, max_size=32))
)
@settings(deadline=None)
def test_nothing_is_masked_in_an_id_of_ours(made: str) -> None:
    assert masked(made) == made
