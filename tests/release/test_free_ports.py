"""Ports for programs: no two at once are given the same, however long each takes until it listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from nexus_release.errors import Unreachable
from nexus_release.local import free_ports
from nexus_release.local.free_ports import free_port

Beside = Callable[[int], AbstractContextManager[None]]
_FIRST = 32_000
"""Above those that anything else is given."""
_GIVEN = """
from nexus_release.local.free_ports import free_port
print(free_port({wanted}), flush=True)
input()
"""


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """Of the only two that there are, by locks of this test alone."""
    with (tmp_path / f"nexus-ports-{os.getuid()}").open("w+b") as given:
        monkeypatch.setattr(free_ports, "_given", lambda _: given)
        monkeypatch.setattr(free_ports, "_FIRST", _FIRST)
        monkeypatch.setattr(free_ports, "_PORTS", 2)
        monkeypatch.setattr(free_ports, "_PORTS_TRIED", 2)
        monkeypatch.setattr(free_ports, "_numbers", count())
        yield _FIRST


@pytest.fixture
def given_beside(tmp_path: Path) -> Beside:
    """To another process; nothing listens there yet."""

    @contextmanager
    def given(wanted: int) -> Iterator[None]:
        with other(tmp_path, wanted) as process:
            assert process.stdout
            assert process.stdout.readline() == f"{wanted}\n"
            yield
            process.communicate("\n", timeout=60)

    return given


def other(folder: Path, wanted: int) -> subprocess.Popen[str]:
    """A process that has its locks there."""
    return subprocess.Popen(
        [sys.executable, "-c", _GIVEN.format(wanted=wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_a_port_that_another_process_was_given_is_not_given_until_that_has_ended(
    first: int, given_beside: Beside
) -> None:
    with given_beside(first):
        assert [free_port() for _ in range(3)] == [first + 1] * 3
    assert free_port() == first


def test_the_next_above_the_wanted_one_where_another_process_was_given_that(first: int, given_beside: Beside) -> None:
    with given_beside(first):
        assert free_port(first) == first + 1
    assert free_port(first) == first


@pytest.mark.parametrize("wanted", [True, False])
def test_a_port_where_somebody_listens_is_passed_over(first: int, wanted: bool) -> None:
    with socket.create_server(("127.0.0.1", first)):
        assert free_port(first if wanted else None) == first + 1


@pytest.mark.parametrize("wanted", [True, False])
def test_where_none_is_free_an_error_names_them(first: int, given_beside: Beside, wanted: bool) -> None:
    error = pytest.raises(Unreachable, match=f"none of the ports {first} to {first + 1} is free: end what listens")
    with given_beside(first), socket.create_server(("127.0.0.1", first + 1)), error:
        free_port(first if wanted else None)


@pytest.mark.parametrize("laid", ["folder", "link"])
def test_what_others_have_laid_in_the_place_of_the_locks_is_named_and_not_written(laid: str, tmp_path: Path) -> None:
    place, theirs = tmp_path / f"nexus-ports-{os.getuid()}", tmp_path / "theirs"
    if laid == "folder":
        place.mkdir()
    else:
        place.symlink_to(theirs)
    with other(tmp_path, _FIRST) as process:
        _, told = process.communicate(timeout=60)
    assert f"Unreachable: {place}, by which ports are kept apart, cannot be opened: " in told
    assert not theirs.exists()
