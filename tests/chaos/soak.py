"""Minutes of steady load on one gateway: does it grow?

    python -m tests.chaos.soak --minutes 10

Prints the slope of its memory after the first fifth, its open files at both ends, and the worst lag of its loop.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from ..support.gateway import Gateway, direct, write_routes
from ..support.upstream import Engine

_CLIENTS = 6
_SAMPLE_SECONDS = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexus-soak-") as folder:
        told = soak(Path(folder), given.minutes * 60)
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0


def soak(folder: Path, seconds: float) -> dict[str, Any]:
    engine = Engine().start()
    routes = write_routes(folder / "routes", {name: direct(name, engine.url(name)) for name in ("ok", "500")})
    many = {"GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000000"}
    gateway = Gateway(folder, "--routes", str(routes), "--audit", str(folder / "audit"), env=many).wait()
    answers: Counter[int] = Counter()
    ended = threading.Event()

    def client(number: int) -> None:
        asked = 0
        with httpx.Client(timeout=30, headers={"authorization": "Bearer dev-key"}) as http:
            while not ended.is_set():
                asked += 1
                body = {"model": "500" if asked % 10 == 0 else "ok", "stream": asked % 2 == 0, "messages": []}
                answers[http.post(f"{gateway.url}/v1/chat/completions", json=body).status_code] += 1
                engine.seen.clear()

    with ThreadPoolExecutor(_CLIENTS) as pool:
        clients = [pool.submit(client, number) for number in range(_CLIENTS)]
        samples = sampled(gateway, seconds)
        ended.set()
        for one in clients:
            one.result(60)
    status = gateway.stop()
    engine.stop()
    warm = samples[len(samples) // 5 :]
    return {
        "seconds": seconds,
        "answers": dict(sorted(answers.items())),
        "memory MiB at the end": round(warm[-1][1] / 2**20, 1),
        "memory MiB a minute": round(slope([(at / 60, size / 2**20) for at, size, _, _ in warm]), 3),
        "open files": [samples[0][2], samples[-1][2]],
        "worst loop lag ms": round(max(lag for *_, lag in samples) * 1000, 1),
        "exit status": status,
    }


def sampled(gateway: Gateway, seconds: float) -> list[tuple[float, int, int, float]]:
    """(seconds since the start, bytes, open files, worst lag since the sample before), one each second."""
    started, process = time.monotonic(), Path("/proc", str(gateway.process.pid))
    found = []
    while (at := time.monotonic() - started) < seconds:
        resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        found.append((at, resident, len(list((process / "fd").iterdir())), loop_lag(gateway)))
        time.sleep(_SAMPLE_SECONDS)
    return found


def loop_lag(gateway: Gateway) -> float:
    """Seconds, the worst since it was asked last."""
    found = re.search(r"^gateway_loop_lag_seconds (\S+)", gateway.get("/metrics").text, re.MULTILINE)
    assert found is not None, "every scrape has it"
    return float(found[1])


def slope(points: list[tuple[float, float]]) -> float:
    """Of the line of least squares."""
    if len(points) < 2:
        return 0.0
    middle_x, middle_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


if __name__ == "__main__":
    sys.exit(main())
