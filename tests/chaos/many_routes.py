"""A gateway with thousands of route files: how long until a change is served, and how late its loop is meanwhile?

    python -m tests.chaos.many_routes --routes 10000

Prints the same for ten routes, so that the figures can be held against those of this machine at this hour.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..support.gateway import OTHER, RELEASE, Gateway, until
from .soak import loop_lag, sampled

_OBSERVED_SECONDS = 3.0  # after a swap: what is freed and collected later counts too


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.many_routes", description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    given = parser.parse_args()
    told = {f"{count} routes": measured(count) for count in (10, given.routes)}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0


def measured(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nexus-routes-") as name:
        folder = Path(name)
        mount(folder, count, changed=range(count), percent=10)
        began = time.monotonic()
        gateway = Gateway(folder, "--routes", str(folder / "routes.d")).wait(300)
        told: dict[str, Any] = {"start s": round(time.monotonic() - began, 1)}
        worst_lag_ms(gateway)
        told["worst lag ms, nothing changes"] = worst_lag_ms(gateway)
        for what, changed, percent in (("one file", range(1), 20), ("every file", range(count), 30)):
            told |= swapped(gateway, folder, what, count, changed, percent)
        assert gateway.stop() == 0
        return told


def swapped(gateway: Gateway, folder: Path, what: str, count: int, changed: range, percent: int) -> dict[str, Any]:
    before = revision(gateway)
    mount(folder, count, changed, percent)
    began = time.monotonic()
    lag_ms(gateway)  # of before
    lags = list[float]()

    def served() -> bool:
        lags.append(lag_ms(gateway))
        return revision(gateway) != before

    until(served, "the change is served", 300)
    seconds = time.monotonic() - began
    return {
        f"{what}: served after s": round(seconds, 1),
        f"{what}: worst lag ms": max(*lags, worst_lag_ms(gateway)),
    }


def mount(folder: Path, count: int, changed: range, percent: int) -> None:
    """A canary of two upstreams in a file of its own for each number; those in `changed` with that percent, the others
    as they were. All at once, by a link, as a kubelet does it."""
    link = folder / "routes.d"
    fresh = Path(tempfile.mkdtemp(dir=folder, prefix="files-"))
    for number in range(count):
        name = f"model-{number}.yaml"
        if number in changed:
            (fresh / name).write_text(json.dumps(canary(f"model-{number}", percent)))
        else:
            shutil.copyfile(link / name, fresh / name)
    (folder / "new").symlink_to(fresh.name)
    (folder / "new").replace(link)


def canary(model: str, percent: int) -> dict[str, Any]:
    upstreams = {
        f"{model}-{letter}": {"url": f"http://10.0.0.{last}:8000", "release": release}
        for letter, last, release in (("a", 1, RELEASE), ("b", 2, OTHER))
    }
    split = {"strategy": "canary", "primary": f"{model}-a", "canary": f"{model}-b", "percent": percent}
    return {"upstreams": upstreams, "routes": {model: split}}


def revision(gateway: Gateway) -> str:
    return str(gateway.get("/ready").json()["revision"])


def worst_lag_ms(gateway: Gateway) -> float:
    """Of a few seconds."""
    return round(max(lag for *_, lag in sampled(gateway, _OBSERVED_SECONDS)) * 1000, 1)


def lag_ms(gateway: Gateway) -> float:
    """The worst since it was asked last."""
    return round(loop_lag(gateway) * 1000, 1)


if __name__ == "__main__":
    sys.exit(main())
