"""Ports for programs: no two at once are given the same, however long each takes until it listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from nexus_release.errors import Unreachable
from nexus_release.local import free_ports
from nexus_release.local.free_ports import free_port

_PAIRS = count(32_000, 2)
"""Above those that any other test is given: two for each test, since what this process is given it keeps."""
_GIVEN = """
from nexus_release.local.free_ports import free_port
print(free_port({first}), flush=True)
input()
"""


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the only two that there are."""
    found = next(_PAIRS)
    monkeypatch.setattr(free_ports, "_FIRST", found)
    monkeypatch.setattr(free_ports, "_PORTS", 2)
    monkeypatch.setattr(free_ports, "_PORTS_TRIED", 2)
    monkeypatch.setattr(free_ports, "_numbers", count())
    return found


@contextmanager
def given_beside(first: int) -> Iterator[None]:
    """To another process; nothing listens there yet."""
    words = [sys.executable, "-c", _GIVEN.format(first=first)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == f"{first}\n"
        yield
        other.communicate("\n", timeout=20)


def test_any_port_but_one_that_another_process_was_given_and_that_one_when_it_has_ended(first: int) -> None:
    with given_beside(first):
        assert [free_port() for _ in range(3)] == [first + 1] * 3
    assert free_port() == first


def test_the_next_above_the_wanted_one_where_another_process_was_given_that(first: int) -> None:
    with given_beside(first):
        assert free_port(first) == first + 1
    assert free_port(first) == first


@pytest.mark.parametrize("wanted", [True, False])
def test_a_port_where_somebody_listens_is_passed_over(first: int, wanted: bool) -> None:
    with socket.create_server(("127.0.0.1", first)):
        assert free_port(first if wanted else None) == first + 1


@pytest.mark.parametrize("wanted", [True, False])
def test_where_none_is_free_an_error_names_them(first: int, wanted: bool) -> None:
    error = pytest.raises(Unreachable, match=f"none of the ports {first} to {first + 1} is free: end what listens")
    with given_beside(first), socket.create_server(("127.0.0.1", first + 1)), error:
        free_port(first if wanted else None)
