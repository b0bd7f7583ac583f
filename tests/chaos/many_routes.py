"""A gateway with thousands of route files: how long until a change is served, and how late its loop is meanwhile?

    python -m tests.chaos.many_routes --routes 10000

Prints the same for ten routes, so that the figures can be held against those of this machine at this hour.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..support.gateway import OTHER, RELEASE, Gateway, until

_SETTLE_SECONDS = 3.0  # after a swap: what the collector does later counts too


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.many_routes", description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    given = parser.parse_args()
    told = {f"{count} routes": measured(count) for count in (10, given.routes)}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0


def measured(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nexus-routes-") as folder:
        routes = Path(folder, "routes.d")
        routes.mkdir()
        write(routes, range(count), percent=10)
        began = time.monotonic()
        gateway = Gateway(Path(folder), "--routes", str(routes))
        gateway.wait(300)
        told: dict[str, Any] = {"start s": round(time.monotonic() - began, 1)}
        lag_ms(gateway)
        time.sleep(_SETTLE_SECONDS)
        told["worst lag ms, nothing changes"] = lag_ms(gateway)
        for name, changed, percent in (("one file", range(1), 20), ("every file", range(count), 30)):
            told |= swapped(gateway, routes, name, changed, percent)
        assert gateway.stop() == 0
        return told


def swapped(gateway: Gateway, routes: Path, name: str, changed: range, percent: int) -> dict[str, Any]:
    before = revision(gateway)
    write(routes, changed, percent)
    written = time.monotonic()
    lag_ms(gateway)
    until(lambda: revision(gateway) != before, "the change is served", 300)
    seconds = time.monotonic() - written
    time.sleep(_SETTLE_SECONDS)
    return {f"{name}: served after s": round(seconds, 1), f"{name}: worst lag ms": lag_ms(gateway)}


def write(routes: Path, numbers: range, percent: int) -> None:
    """A canary of two upstreams in a file of its own for each number; a change shows only when all are written."""
    for number in numbers:
        model = f"model-{number}"
        upstreams = {
            f"{model}-{letter}": {"url": f"http://10.0.0.{last}:8000", "release": release}
            for letter, last, release in (("a", 1, RELEASE), ("b", 2, OTHER))
        }
        canary = {"strategy": "canary", "primary": f"{model}-a", "canary": f"{model}-b", "percent": percent}
        document = {"upstreams": upstreams, "routes": {model: canary}}
        (routes / f"{model}.yaml").write_text(json.dumps(document))


def revision(gateway: Gateway) -> str:
    return str(gateway.get("/ready").json()["revision"])


def lag_ms(gateway: Gateway) -> float:
    """The worst since it was asked last."""
    found = re.search(r"^gateway_loop_lag_seconds (\S+)", gateway.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return round(float(found[1]) * 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
