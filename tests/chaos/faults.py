"""The faults of the chaos scenarios, by name: each strikes as it is entered, and is mended as it is left."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx
import redis

from ..support.gateway import PLAIN
from .relay import Trouble
from .stack import DISK, Stack, size_disk

_REDIS_MILLISECONDS = 200
_LOST = "0.25"
_PAGE = 4096


@contextmanager
def _engine_killed(stack: Stack) -> Iterator[None]:
    stack.engine.worker.process.kill()
    stack.engine.stop()
    yield
    stack.engine.start_again()


@contextmanager
def _engine_stopped(stack: Stack) -> Iterator[None]:
    stack.engine.worker.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.engine.worker.process.send_signal(signal.SIGCONT)


def _engine_told(fault: str) -> Callable[[Stack], AbstractContextManager[None]]:
    """A fault of the worker's own mock."""

    @contextmanager
    def told(stack: Stack) -> Iterator[None]:
        _tell(stack, [fault])
        yield
        _tell(stack, [])

    return told


def _tell(stack: Stack, faults: list[str]) -> None:
    httpx.put(f"{stack.engine.url}/mock/faults", json={"faults": faults}, verify=PLAIN).raise_for_status()


@contextmanager
def _redis_killed(stack: Stack) -> Iterator[None]:
    stack.redis.kill()
    yield
    stack.redis.start()


@contextmanager
def _redis_stopped(stack: Stack) -> Iterator[None]:
    stack.redis.stall()
    try:
        yield
    finally:
        stack.redis.go_on()


@contextmanager
def _redis_slow(stack: Stack) -> Iterator[None]:
    """Redis holds every command back, again and again, until its pause is over."""
    over = threading.Event()

    def pause() -> None:
        with redis.Redis(port=stack.redis.port) as client:
            while not over.is_set():
                client.client_pause(_REDIS_MILLISECONDS)
                over.wait(_REDIS_MILLISECONDS / 1000)

    pausing = threading.Thread(target=pause)
    pausing.start()
    try:
        yield
    finally:
        over.set()
        pausing.join()


@contextmanager
def _config_bad(stack: Stack) -> Iterator[None]:
    path = stack.routes / "new.yaml"
    path.write_text("routes: {new: {strategy: magic}}")
    try:
        yield
    finally:
        path.unlink()


def _relay(trouble: Trouble) -> Callable[[Stack], AbstractContextManager[None]]:
    @contextmanager
    def turned(stack: Stack) -> Iterator[None]:
        stack.relay.turn(trouble)
        yield
        stack.relay.turn("")

    return turned


def _packets(*rules: str) -> Callable[[Stack], AbstractContextManager[None]]:
    """Rules of iptables, in which PORT is the engine's. They end with the command's own network, whatever happens."""

    @contextmanager
    def ruled(stack: Stack) -> Iterator[None]:
        given = [rule.replace("PORT", str(stack.engine.port)).split() for rule in rules]
        for rule in given:
            subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", *rule], check=True)
        yield
        for rule in given:
            subprocess.run(["iptables", "-D", "INPUT", "-p", "tcp", *rule], check=True)

    return ruled


@contextmanager
def _disk_full(stack: Stack) -> Iterator[None]:
    """The file system is made as small as what is in it."""
    used = shutil.disk_usage(stack.logs).used
    size_disk(stack.logs, f"{used + _PAGE}")
    yield
    size_disk(stack.logs, DISK)


_EITHER_WAY = ("--dport PORT", "--sport PORT")
FAULTS: dict[str, Callable[[Stack], AbstractContextManager[None]]] = {
    "engine-killed": _engine_killed,
    "engine-stopped": _engine_stopped,
    "engine-slow": _engine_told("slow:seconds=0.5"),
    "engine-garbage": _engine_told("malformed:chunks=0"),
    "engine-cut": _engine_told("cut:chunks=2"),
    "redis-killed": _redis_killed,
    "redis-stopped": _redis_stopped,
    "redis-slow": _redis_slow,
    "config-bad": _config_bad,
    "relay-slow": _relay("slow"),
    "relay-holds": _relay("hold"),
    "relay-reset": _relay("reset"),
    "packets-lost": _packets(
        *(f"{way} -m statistic --mode random --probability {_LOST} -j DROP" for way in _EITHER_WAY)
    ),
    "packets-reset": _packets("--dport PORT -j REJECT --reject-with tcp-reset"),
    "packets-dropped": _packets(*(f"{way} -j DROP" for way in _EITHER_WAY)),
    "disk-full": _disk_full,
}
