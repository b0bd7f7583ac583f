"""Drift from the log that a real gateway wrote, not one of ours."""

from __future__ import annotations

import json
import math
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from nexus_release.monitoring.windows import written

from ..support.decision_log import lines
from ..support.gateway import Gateway, direct, until, write_routes
from ..support.watched import House

pytestmark = pytest.mark.services
ASKED = 150
"""Requests in each window."""


def next_second() -> str:
    """Waits until it has begun."""
    border = math.ceil(time.time())
    until(lambda: time.time() >= border, "the next second begins")
    return written(datetime.fromtimestamp(border, UTC))


def ask(gateway: Gateway, words: int) -> None:
    with httpx.Client(base_url=gateway.url, headers={"authorization": "Bearer dev-key"}, timeout=30) as client:
        for number in range(ASKED):
            said = {"role": "user", "content": "word " * (words + number % 7)}
            body = {"model": "chat", "messages": [said], "stream": number % 2 == 0}
            assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_longer_requests_are_seen_in_a_gateways_own_log(tmp_path: Path) -> None:
    house = House.built(tmp_path)
    shutil.rmtree(house.log)
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local", house.release)})
    gateway = Gateway(tmp_path, "--routes", str(routes), "--decisions", str(house.log)).wait()
    first = next_second()
    ask(gateway, 10)
    middle = next_second()
    ask(gateway, 10)
    later = next_second()
    ask(gateway, 300)
    last = next_second()
    assert gateway.stop() == 0
    assert len(lines(house.log)) == 3 * ASKED

    reference = ("--reference-since", first, "--reference-until", middle)
    same = house.command(*reference, "--since", middle, "--until", later, "--json")
    assert same.returncode == 0, same.stderr
    told = json.loads(same.stdout)["report"]
    assert (told["now"]["records"], told["then"]["records"], told["level"]) == (ASKED, ASKED, "below")

    moved = house.command(*reference, "--since", later, "--until", last, "--json")
    found = json.loads(moved.stdout)
    above = [one["feature"] for one in found["report"]["features"] if one["level"] == "above"]
    assert above == ["request bytes"]
    assert {one["feature"] for one in found["report"]["features"]} == {
        "prompt tokens", "answer tokens", "request bytes", "api", "stream", "ending",
    }  # fmt: skip
    assert house.command("--replay", found["digest"]).returncode == 0
