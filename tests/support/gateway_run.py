"""What a real gateway writes: lines of every form on its standard output, and its audit files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .gateway import OTHER, RELEASE, Gateway, direct, until, write_routes
from .upstream import Engine

NARROW = "narrow-key"
ENVIRONMENT = {
    "GATEWAY_API_KEYS": f"dev-key,{NARROW}",
    "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1",
}


@dataclass(frozen=True)
class GatewayRun:
    output: list[str]
    """Standard output and standard error, line by line."""
    audit: dict[str, list[str]]
    """The lines of each audit file, by its path."""


def gateway_run(folder: Path) -> GatewayRun:
    engine = Engine().start()
    try:
        routes = write_routes(folder / "routes", _routes(engine))
        gateway = Gateway(folder, "--routes", str(routes), "--audit", str(folder / "audit"), env=ENVIRONMENT).wait()
        _ask(gateway)
        assert gateway.stop() == 0
    finally:
        engine.stop()
    files = sorted((folder / "audit").iterdir())
    return GatewayRun(
        gateway.log.read_text().splitlines(), {str(path): path.read_text().splitlines() for path in files}
    )


def _routes(engine: Engine) -> dict[str, dict[str, Any]]:
    masked = direct("masked", engine.url("parrot-7"))
    masked["routes"]["masked"]["masking"] = {}
    return {
        "ok": direct("ok", engine.url("ok")),
        "broken": direct("broken", engine.url("500")),
        "masked": masked,
        "limits": {"policies": {f"env-{hashlib.sha256(NARROW.encode()).hexdigest()[:8]}": {"requests_per_minute": 1}}},
        "shadowed": {
            "upstreams": {
                "first": {"url": engine.url("ok"), "release": RELEASE},
                "tried": {"url": engine.url("other"), "release": OTHER},
            },
            "routes": {
                "shadowed": {"strategy": "direct", "upstream": "first", "shadow": {"upstream": "tried"}},
                "careful": {"strategy": "direct", "upstream": "broken-1", "fallbacks": ["ok"]},
            },
        },
    }


def _ask(gateway: Gateway) -> None:
    """An answer, a stream, and each way in which a request can end that a saved query of ours is about."""
    narrow = {"authorization": f"Bearer {NARROW}"}
    said = {"messages": [{"role": "user", "content": "mail anna@example.org"}]}
    statuses = [
        gateway.ask("ok", headers={"x-request-id": "order-4711"}).status_code,
        gateway.ask("ok", stream=True).status_code,
        gateway.ask("ok", headers={"idempotency-key": "once"}).status_code,
        gateway.ask("careful").status_code,  # opens the circuit of broken-1
        gateway.ask("broken").status_code,
        gateway.ask("nobody").status_code,
        gateway.ask("ok", headers={"authorization": "Bearer wrong"}).status_code,
        gateway.ask("ok", headers=narrow).status_code,
        gateway.ask("ok", headers=narrow).status_code,
        gateway.ask("masked", **said).status_code,
        gateway.ask("shadowed").status_code,
    ]
    assert statuses == [200, 200, 200, 200, 503, 404, 401, 200, 429, 200, 200]
    until(lambda: re.search(r'"message": ?"shadow"', gateway.log.read_text()), "the pair")
