"""Asks a gateway without a pause while its configuration, its engines and its Redis go through everything.

    python -m tests.chaos.gateway --swaps 1000      as `make chaos-swaps` runs it
    python -m tests.chaos.gateway --swaps 60        the short form of the tests

Every answer is held to: a status that the conditions of the moment allow, a revision that was written, the release of
that revision, and the text of that release's engine. Prints what it counted; ends with 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from nexus_gateway.snapshot import revision

from ..support.gateway import Gateway, until
from ..support.redis_server import RedisServer
from ..support.upstream import Engine

_ASKING = 6
_FAULTS = ("reset", "close", "garbage", "500", "stall", "error-event", "short")
_ALLOWED = {200, 429, 502, 503, 504}
"""429 is the caller's limit, which is set high enough to be hit only now and then."""


@dataclass
class Seen:
    """What the answers said."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    streams_cut: int = 0


class Configurations:
    """A folder of routes that changes by a rename, as a kubelet changes it. Each good one has a release of its own."""

    def __init__(self, folder: Path, engine: Engine, seed: int) -> None:
        self.folder, self.link = folder, folder / "routes"
        self._engine, self._random = engine, random.Random(seed)
        self.releases: dict[str, str] = {}
        """Revision -> release, of every good configuration that was ever written."""
        self.bad = 0
        self.put(good=True)

    def put(self, *, good: bool) -> str:
        """The revision that is then to be served; empty for a bad one."""
        number = len(self.releases) + self.bad
        made = self.folder / f"made-{number}"
        made.mkdir()
        release = f"{number:064x}"
        text = json.dumps(self._document(release)) if good else self._random.choice(_BAD)
        (made / "chat.yaml").write_text(text)
        fresh = self.folder / "fresh"
        fresh.symlink_to(made)
        fresh.replace(self.link)
        if not good:
            self.bad += 1
            return ""
        name = revision({"chat.yaml": text.encode()})
        self.releases[name] = release
        return name

    def _document(self, release: str) -> dict[str, Any]:
        """`chat` is answered by the release's own engine, whose text names it; `ill` by one that fails at random, with
        `chat` in its stead."""
        upstreams = {
            "well": {"url": self._engine.url(f"release-{release[-8:]}"), "release": release},
            "ill": {"url": self._engine.url(self._random.choice(_FAULTS)), "release": "f" * 64},
            "dead": {"url": "http://127.0.0.1:1"},
        }
        short = {"first_byte_seconds": 0.5, "chunk_seconds": 0.5}
        return {
            "upstreams": upstreams,
            "routes": {
                "chat": {"strategy": "direct", "upstream": "well"},
                "ill": {"strategy": "direct", "upstream": "ill", "fallbacks": ["chat"], "timeouts": short},
                "dead": {"strategy": "direct", "upstream": "dead"},
            },
            "policies": {"dev-key": {"requests_per_minute": 1_000_000}},
        }


_BAD = (
    "routes: [",
    "routes: {chat: {strategy: magic}}",
    '{"routes": {"a": {"strategy": "direct", "upstream": "x"}}}',
    "",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.gateway", description=__doc__)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexus-chaos-") as folder:
        told = run(Path(folder), given.swaps, given.seed)
    sys.stdout.write(json.dumps(told, indent=None if given.json else 2) + "\n")
    return 1 if told["wrong"] or told["lost"] or told["problems"] else 0


def run(folder: Path, swaps: int, seed: int) -> dict[str, Any]:
    engine = Engine().start()
    redis = RedisServer(folder).start()
    configurations = Configurations(folder, engine, seed)
    env = {"GATEWAY_REDIS_URL": redis.url, "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "0.3"}
    flags = ("--routes", str(configurations.link), "--state", str(folder / "state"), "--audit", str(folder / "audit"))
    gateway = Gateway(folder, *flags, env=env).wait()
    seen, problems, last = Seen(), list[str](), ""
    try:
        with asking(gateway, configurations, seen), troubling(redis, seed):
            for number in range(swaps):
                good = number % 3 != 2
                wanted = configurations.put(good=good)
                last = wanted or last
                until(lambda good=good, last=last: taken(gateway, last, good), f"swap {number} is decided", 30)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                if gateway.config()["revision"] != last:
                    problems.append(f"swap {number}: a bad configuration replaced a good one")
        metrics = gateway.get("/metrics").text
        if "gateway_in_flight_requests 1.0" not in metrics and "gateway_in_flight_requests 0.0" not in metrics:
            problems.append("requests are still in flight when nobody asks")
    finally:
        status = gateway.stop()
        with suppress(AssertionError):
            redis.go_on()
            redis.kill()
        engine.stop()
    if status != 0:
        problems.append(f"the gateway ended with {status}")
    return {
        "swaps": swaps,
        "bad": configurations.bad,
        "answers": dict(sorted(seen.statuses.items())),
        "streams cut by engines": seen.streams_cut,
        "wrong": seen.wrong[:20],
        "lost": seen.lost[:20],
        "problems": problems,
    }


def taken(gateway: Gateway, revision_: str, good: bool) -> bool:
    """A good configuration is served, a bad one is refused."""
    config = gateway.config()
    return bool(config["revision"] == revision_ if good else config["refusal"] is not None)


@contextmanager
def asking(gateway: Gateway, configurations: Configurations, seen: Seen) -> Iterator[None]:
    """Some clients that ask without a pause; each checks its own answers."""
    ended = threading.Event()

    def client(number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(timeout=30, headers={"authorization": "Bearer dev-key"}) as http:
            while not ended.is_set():
                model, stream = chance.choice(("chat", "chat", "chat", "ill", "dead")), chance.random() < 0.5
                body = {"model": model, "stream": stream, "messages": []}
                try:
                    answer = http.post(f"{gateway.url}/v1/chat/completions", json=body)
                except httpx.HTTPError as error:
                    seen.lost.append(f"{model}: {error!r}")
                    continue
                check(answer, model, configurations, seen)

    with ThreadPoolExecutor(_ASKING) as pool:
        clients = [pool.submit(client, number) for number in range(_ASKING)]
        try:
            yield
        finally:
            ended.set()
            for one in clients:
                one.result(60)


def check(answer: httpx.Response, model: str, configurations: Configurations, seen: Seen) -> None:
    status, text = answer.status_code, answer.text
    seen.statuses[status] += 1
    served = answer.headers.get("x-nexus-revision", "")
    release = configurations.releases.get(served)
    if status not in _ALLOWED or (model == "chat" and status != 200) or (model == "dead" and status == 200):
        seen.wrong.append(f"{model}: {status} {text[:200]}")
    elif release is None:
        seen.wrong.append(f"{model}: answered by the revision {served!r}, which was never good")
    elif status == 200 and "stream_broken" in text:
        seen.streams_cut += 1
        if "[DONE]" in text or model == "chat":
            seen.wrong.append(f"{model}: a stream that broke off has an end mark, or had no reason to: {text[-300:]}")
    elif status == 200 and answer.headers["x-nexus-release"] == release:
        if release[-8:] not in text:
            seen.wrong.append(f"{model}: the header names {release[-8:]}, the text says {text[:200]}")
    elif status == 200 and answer.headers["x-nexus-release"] != "f" * 64:
        seen.wrong.append(f"{model}: release {answer.headers['x-nexus-release']} is not of revision {served}")


@contextmanager
def troubling(redis: RedisServer, seed: int) -> Iterator[None]:
    """Redis stalls, goes on, is killed and comes back, again and again."""
    ended, chance = threading.Event(), random.Random(seed)

    def trouble() -> None:
        while not ended.wait(chance.uniform(0.5, 1.5)):
            if chance.random() < 0.5:
                redis.stall()
                ended.wait(0.7)
                redis.go_on()
            else:
                redis.kill()
                ended.wait(0.7)
                redis.start()

    thread = threading.Thread(target=trouble)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


if __name__ == "__main__":
    started = time.monotonic()
    status_ = main()
    sys.stderr.write(f"{time.monotonic() - started:.0f} s\n")
    sys.exit(status_)
