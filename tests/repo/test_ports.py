"""Ports that tests give to programs: no two at once have the same, however closely their tests follow each other."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from ..support import ports

_ROOT = Path(__file__).parents[2]
_PAIRS = count(32_000, 2)
"""Above those that any other test is given: two for each test, since what this process is given it keeps."""
_GIVEN = """
from tests.support import ports
ports._FIRST, ports._PORTS = {first}, 1
print(ports.free_port(), flush=True)
input()
"""


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the only two that there are."""
    found = next(_PAIRS)
    monkeypatch.setattr(ports, "_FIRST", found)
    monkeypatch.setattr(ports, "_PORTS", 2)
    monkeypatch.setattr(ports, "_numbers", count())
    return found


@contextmanager
def given_beside(first: int) -> Iterator[None]:
    """By another process of tests; nothing listens there yet."""
    words = [sys.executable, "-c", _GIVEN.format(first=first)]
    with subprocess.Popen(words, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == f"{first}\n"
        yield
        other.communicate("\n", timeout=20)


def test_a_port_that_was_given_beside_is_not_given_again_until_that_process_ends(first: int) -> None:
    with given_beside(first):
        assert [ports.free_port() for _ in range(3)] == [first + 1] * 3
    assert ports.free_port() == first


def test_a_port_where_somebody_listens_is_passed_over(first: int) -> None:
    with socket.create_server(("127.0.0.1", first)):
        assert ports.free_port() == first + 1


def test_where_none_is_free_an_error_says_so(first: int) -> None:
    taken, refused = socket.create_server(("127.0.0.1", first + 1)), pytest.raises(OSError, match="end what listens")
    with given_beside(first), taken, refused:
        ports.free_port()
