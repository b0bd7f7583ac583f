"""All that the console shows: releases and a canary of a real remote, an engine, a gateway, and who asks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from nexus_gateway.keys import digest
from nexus_release.local.free_ports import free_port
from nexus_release.plan import admitted

from .canary_traffic import SAME
from .canary_walk import MODEL, ONE, TWO, Walk, plant_canary
from .gateway import PLAIN, Gateway
from .releases import make_pointer, make_record
from .remotes import Remote
from .worker import Worker

OPERATOR, GUEST, SEARCH = "console-operator-key", "console-guest-key", "console-search-key"
NEWCOMER = "console-newcomer-key"
"""May what the guest may, and nobody asks by it meanwhile: what was asked is free again bit by bit a minute later."""
AWAY = "pydoc-chat"
"""A model whose engine does not answer."""
_KEYS = {
    "keys": [
        {"id": "operator", "digest": f"sha256:{digest(OPERATOR.encode()).hex()}", "scopes": ["admin"]},
        {"id": "guest", "digest": f"sha256:{digest(GUEST.encode()).hex()}", "models": [MODEL]},
        {"id": "newcomer", "digest": f"sha256:{digest(NEWCOMER.encode()).hex()}", "models": [MODEL]},
        {"id": "search-1", "digest": f"sha256:{digest(SEARCH.encode()).hex()}", "tenant": "search"},
    ]
}
_GUEST = {"requests_per_minute": 600, "tokens_per_minute": 60_000, "max_parallel": 4}
_CALLERS = {
    "policies": {
        "operator": {},
        "guest": _GUEST,
        "newcomer": _GUEST,
        "search": {"requests_per_minute": 60},
    }
}


@dataclass(frozen=True)
class ConsoleWorld:
    gateway: Gateway
    checkout: Path

    @property
    def revision(self) -> str:
        return str(self.gateway.get("/ready", key=None).json()["revision"])

    def ask(self, model: str = MODEL, key: str = GUEST, words: str = "What does os.path.join do?") -> int:
        """The status of a streamed answer."""
        message = {"role": "user", "content": words}
        body = {"model": model, "messages": [message], "stream": True, "max_tokens": 24}
        headers = {"authorization": f"Bearer {key}"}
        url = f"{self.gateway.url}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, timeout=30, verify=PLAIN).status_code


@contextmanager
def console_world(folder: Path) -> Iterator[ConsoleWorld]:
    folder.mkdir(exist_ok=True)
    words = ("--enable-force-include-usage", "--ttft-ms=40", "--tokens-per-second=150")
    engine = Worker("--engine=mock", f"--served-model-name={MODEL}", *words)  # which starts meanwhile
    checkout = _checkout(folder)
    with engine:
        gateway = _gateway(folder, checkout, dict.fromkeys((ONE.release, TWO.release), engine.url)).wait()
        try:
            yield ConsoleWorld(gateway, checkout)
        finally:
            gateway.stop()


def _checkout(folder: Path) -> Path:
    """A canary that has been brought from 0 to 25 % by its figures, and another model's only release."""
    planted = plant_canary(folder)
    other = make_record(AWAY, 1)
    planted.record(other)
    planted.plan(admitted(None, AWAY, make_pointer(other)))
    (folder / "walk").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        walk = Walk(Remote.copied(planted, folder / "walk"), SAME, patch, datetime.now(UTC) + timedelta(hours=1))
        walk.step()
        for _ in range(2):
            walk.step(timedelta(minutes=20))
        walk.remote.pull()
    return walk.remote.clone


def _gateway(folder: Path, checkout: Path, engines: dict[str, str]) -> Gateway:
    """Serves the rendered routes, whose addresses are those of a cluster."""
    rendered = checkout / "gitops" / "local" / "gateway" / "routes.d"
    routes = folder / "routes"
    routes.mkdir()
    resolve = {}
    for path in rendered.glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        (routes / path.name).write_text(path.read_text())
        for upstream in document.get("upstreams", {}).values():
            host = re.fullmatch(r"http://([^/:]+)(:\d+)?.*", upstream["url"])
            assert host, upstream["url"]
            engine = engines.get(upstream["release"], f"http://127.0.0.1:{free_port()}")
            resolve[f"{host[1]}{host[2] or ':80'}"] = engine.removeprefix("http://")
    (routes / "_policies.yaml").write_text(json.dumps(_CALLERS))
    (folder / "resolve.json").write_text(json.dumps(resolve))
    (folder / "keys.yaml").write_text(json.dumps(_KEYS))
    flags = {"--routes": routes, "--resolve": folder / "resolve.json", "--keys": folder / "keys.yaml"}
    environment = {
        "GATEWAY_CONSOLE_CHECKOUT": str(checkout),
        "GATEWAY_CONSOLE_ENVIRONMENT": "local",
        "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1",
        "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "3600",
    }
    return Gateway(folder, *(str(word) for pair in flags.items() for word in pair), env=environment)
