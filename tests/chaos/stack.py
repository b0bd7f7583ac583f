"""What chaos strikes: a gateway before two engines, a relay and a Redis, and a Prometheus with the committed rules."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_release.watching.watchdog import WATCHDOG

from ..ops.shortened import shortened
from ..support.gateway import Gateway, until, write_routes
from ..support.prometheus_server import Prometheus
from ..support.redis_server import RedisServer
from ..support.repository import ROOT
from ..support.worker import Worker
from .relay import Relay

RULES = ROOT / "ops" / "prometheus" / "rules" / "gateway.yaml"
ENGINE, SPARE = "alone", "far"
"""The one model of each, as it calls it."""
FIRST_BYTE_SECONDS = 2.0
"""The shortest deadline with which a request passes in C. Where nobody hangs it may be longer, so that an engine which
is not struck may stand still, too."""
SHORTER = 40
"""How many times the committed rules' times are: a circuit's try of an engine that hangs takes the whole deadline, and
has to be shorter than what is looked at for circuits, which is two minutes elsewhere."""
RESET_SECONDS = 2.5
"""Of a circuit: longer than a try of an engine that hangs, which a scrape each second would else see alone."""
DISK = "256m"
_READY_SECONDS = 120.0


class Engine:
    """A mock worker that comes back on its own port."""

    def __init__(self, model: str) -> None:
        self._words = ("--engine=mock", f"--served-model-name={model}", "--mock-admin", "--max-num-seqs=64")
        self.worker = Worker(*self._words).__enter__()
        self.port = urlsplit(self.worker.url).port or 0
        self.url = self.worker.url

    def stop(self) -> None:
        self.worker.__exit__(None, None, None)

    def start_again(self) -> None:
        self.worker = Worker(*self._words, f"--port={self.port}").__enter__()


@dataclass
class Stack:
    folder: Path
    engine: Engine
    spare: Engine
    relay: Relay
    redis: RedisServer
    gateway: Gateway
    prometheus: Prometheus
    routes: Path
    logs: Path
    """The folder of the gateway's logs; a file system of its own where the command has namespaces of its own."""

    def ringing(self) -> set[str]:
        return self.prometheus.labelled('ALERTS{alertstate="firing"}', "alertname") - {WATCHDOG}


@contextmanager
def stack(folder: Path, edge: str, *, own_disk: bool, decisions: bool, first_byte: float) -> Iterator[Stack]:
    with ExitStack() as running:
        engine, spare = Engine(ENGINE), Engine(SPARE)
        running.callback(spare.stop)
        running.callback(engine.stop)
        relay = Relay(spare.port).start()
        running.callback(relay.stop)
        redis = RedisServer(folder).start()
        running.callback(redis.kill)
        logs = folder / "logs"
        logs.mkdir()
        if own_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(logs)], check=True)
            running.callback(subprocess.run, ["umount", "--lazy", str(logs)], check=True)
        routed = routes_to(engine.url, spare.url, f"http://127.0.0.1:{relay.port}", first_byte)
        routes = write_routes(folder / "routes", {"models": routed})
        env = {
            "GATEWAY_EDGE": edge,
            "GATEWAY_REDIS_URL": redis.url,
            "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": str(RESET_SECONDS),
        }
        flags = ["--routes", routes, "--audit", logs / "audit"]
        if decisions:
            flags += ["--decisions", logs / "decisions"]
        gateway = Gateway(logs, *map(str, flags), env=env)
        running.callback(gateway.stop)
        prometheus = Prometheus(folder, {gateway.wait(_READY_SECONDS).port: _LABELS}, _watching(folder))
        running.callback(prometheus.stop)
        until(lambda: prometheus.query("up == 1"), "the gateway is scraped", _READY_SECONDS)
        yield Stack(folder, engine, spare, relay, redis, gateway, prometheus, routes, logs)


_LABELS = {"job": "nexus-gateway", "namespace": "nexus"}


def _watching(folder: Path) -> dict[str, Any]:
    path = folder / "rules.yaml"
    path.write_text(shortened(RULES.read_text(), SHORTER))
    return {"rule_files": [str(path)]}


def routes_to(engine: str, spare: str, far: str, first_byte: float = FIRST_BYTE_SECONDS) -> dict[str, Any]:
    """A route file. `alone` and `far` go straight, and in C where that is the edge: their engines know them by their
    own names, and they have no fallback."""
    late = {"first_byte_seconds": first_byte, "chunk_seconds": first_byte}
    route = {"strategy": "direct", "timeouts": late}
    return {
        "upstreams": {
            "engine": {"url": engine, "model": ENGINE},
            "spare": {"url": spare, "model": SPARE},
            "far": {"url": far, "model": SPARE},
        },
        "routes": {
            "alone": {**route, "upstream": "engine"},
            "covered": {**route, "upstream": "engine", "fallbacks": ["spare"]},
            "spare": {**route, "upstream": "spare"},
            "far": {**route, "upstream": "far"},
        },
        "policies": {"dev-key": {"requests_per_minute": 1_000_000}},
    }


def size_disk(logs: Path, size: str) -> None:
    """In bytes or as mount has it. No smaller than what is in it."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(logs)], check=True)
