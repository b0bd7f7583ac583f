"""Idempotency keys of several gateways that hold them in one Redis."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client_of_redis

from ..support.gateway import BIN, Gateway, code, direct, until, write_routes
from ..support.leaving_client import Clients
from ..support.redis_server import RedisServer, patient_bin
from ..support.upstream import Engine

pytestmark = pytest.mark.services
FOR_EVER = 600.0
"""Seconds; longer than any test."""
LEASE = 6.0
"""Seconds; a third of it is what its holder extends it in, and the rest what a machine may stand still."""


class Site:
    """A Redis, and gateways that share it."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._folder = folder
        files = {name: direct(name, engine.url(name)) for name in ("ok", "gated", "gated-failure")}
        files["endless"] = direct("endless", engine.url("stall-midway"))
        self._routes = str(write_routes(folder / "routes", files))
        self.redis, self.gateways = RedisServer(folder).start(), list[Gateway]()

    def serve(self, count: int = 2, lease: float = FOR_EVER, patient: bool = True, **env: str) -> list[Gateway]:
        """`lease` in seconds. `patient`: where Redis is to answer, or is seen to be away at once."""
        given = {
            "GATEWAY_REDIS_URL": self.redis.url,
            "GATEWAY_IDEMPOTENCY_LEASE_SECONDS": f"{lease:g}",
            "GATEWAY_REQUEST_TIMEOUT_SECONDS": "60",
            **env,
        }
        folders = [self._folder / str(number) for number in range(count)]
        for folder in folders:
            folder.mkdir()
        bin_folder = patient_bin(self._folder) if patient else BIN
        flags = ("--routes", self._routes)
        self.gateways = [Gateway(folder, *flags, env=given, bin_folder=bin_folder) for folder in folders]
        return [gateway.wait() for gateway in self.gateways]

    def close(self) -> None:
        ends = [gateway.stop() for gateway in self.gateways if gateway.process.poll() is None]
        self.redis.kill()
        assert set(ends) <= {0}


@pytest.fixture
def site(tmp_path: Path, engine: Engine) -> Iterator[Site]:
    made = Site(tmp_path, engine)
    yield made
    engine.gate.set()
    made.close()


@pytest.fixture(scope="module")
def lasting(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("pair"), engine)
    made.serve()
    yield made
    made.close()


@pytest.fixture
def pair(lasting: Site) -> list[Gateway]:
    """Two gateways whose leases do not end, and a Redis without keys."""
    with client_of_redis.Redis(port=lasting.redis.port) as client:
        client.flushdb()
    return lasting.gateways


@pytest.fixture(autouse=True)
def closed_gate(engine: Engine) -> Iterator[None]:
    engine.gate.clear()
    yield
    engine.gate.set()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def keyed(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


class Held:
    """What Redis has of the only key in it."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = client_of_redis.Redis(port=redis.port)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    @property
    def fields(self) -> dict[bytes, bytes]:
        keys: Any = self._redis.keys("nexus:idempotency:*")
        found: Any = self._redis.hgetall(keys[0]) if keys else {}
        return dict(found)

    def claimed(self) -> bool:
        return b"token" in self.fields

    def awaited(self) -> bool:
        return any(field.startswith(b"waits:") for field in self.fields)

    def left(self) -> int:
        """Milliseconds until it goes by itself."""
        keys: Any = self._redis.keys("nexus:idempotency:*")
        return int(self._redis.pttl(keys[0]))

    def scripts_run(self) -> int:
        stats: Any = self._redis.info("commandstats")
        return int(stats["cmdstat_evalsha"]["calls"])


@pytest.fixture
def held(lasting: Site) -> Iterator[Held]:
    """Of the pair."""
    with Held(lasting.redis) as shown:
        yield shown


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(24) as threads:
        yield threads


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_another_gateway_gives_the_same_bytes_again(
    pair: list[Gateway], engine: Engine, name: str, stream: bool
) -> None:
    one, other = pair
    before = len(engine.of("ok"))
    first, again = (gateway.ask("ok", stream=stream, headers=keyed(name)) for gateway in (one, other))
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-original-request-id"] == first.headers["x-request-id"]
    assert again.headers["x-nexus-release"] == first.headers["x-nexus-release"]
    assert code(other.ask("ok", stream=stream, n=2, headers=keyed(name))) == "idempotency_conflict"
    assert len(engine.of("ok")) == before + 1


def test_many_at_once_at_two_gateways_call_the_engine_once(
    pair: list[Gateway], engine: Engine, pool: ThreadPoolExecutor, name: str
) -> None:
    two = pair
    before = len(engine.of("ok"))
    answers = list(pool.map(lambda n: two[n % 2].ask("ok", stream=True, headers=keyed(name)), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(engine.of("ok")) == before + 1


def test_who_asks_elsewhere_meanwhile_is_woken_by_a_message(
    pair: list[Gateway], engine: Engine, held: Held, pool: ThreadPoolExecutor, name: str
) -> None:
    """The lease is longer than the client waits, so that the clock wakes nobody; and nobody asks Redis meanwhile."""
    one, other = pair
    before = len(engine.of("gated"))
    first = pool.submit(one.ask, "gated", wait=True, headers=keyed(name))
    until(held.claimed, "the first has the claim")
    second = pool.submit(other.ask, "gated", wait=True, headers=keyed(name))
    until(held.awaited, "the second waits")
    asked = held.scripts_run()
    assert one.ask("ok").status_code == other.ask("ok").status_code == 200
    assert held.scripts_run() == asked, "waiting asks nothing"
    engine.gate.set()
    assert second.result(20).content == first.result(20).content
    assert second.result().headers["idempotency-replayed"] == "true"
    assert len(engine.of("gated")) == before + 1


def test_a_call_that_is_longer_than_the_lease_is_still_called_once(
    site: Site, engine: Engine, pool: ThreadPoolExecutor, name: str
) -> None:
    one, other = site.serve(lease=LEASE)
    with Held(site.redis) as held:
        before = len(engine.of("gated"))
        asked = [pool.submit(one.ask, "gated", wait=True, headers=keyed(name))]
        until(held.claimed, "the first has the claim")
        asked.append(pool.submit(other.ask, "gated", wait=True, headers=keyed(name)))
        until(held.awaited, "the second waits")
        began, runs = time.monotonic(), held.scripts_run()
        until(lambda: time.monotonic() > began + LEASE, "the lease would have been over")
        assert held.scripts_run() > runs
        engine.gate.set()
        assert len({one.result(20).content for one in asked}) == 1
        assert len(engine.of("gated")) == before + 1


def test_a_gateway_that_is_killed_holds_its_key_until_its_lease_is_over(
    site: Site, engine: Engine, pool: ThreadPoolExecutor, name: str
) -> None:
    one, other = site.serve(lease=LEASE)
    with Held(site.redis) as held:
        before = len(engine.of("gated"))
        lost = pool.submit(one.ask, "gated", wait=True, headers=keyed(name))
        until(lambda: len(engine.of("gated")) > before, "the engine is asked")
        one.process.kill()
        with pytest.raises(httpx.TransportError):
            lost.result(20)
        retry = pool.submit(other.ask, "gated", wait=True, headers=keyed(name))
        until(held.awaited, "the retry waits for the lease's end")
        assert len(engine.of("gated")) == before + 1
        until(lambda: len(engine.of("gated")) == before + 2, "and then calls anew")
        engine.gate.set()
        assert retry.result(20).status_code == 200


def test_what_is_not_kept_frees_the_key_for_who_waits(
    pair: list[Gateway], engine: Engine, held: Held, pool: ThreadPoolExecutor, name: str
) -> None:
    one, other = pair
    before = len(engine.of("gated-failure"))
    asked = [pool.submit(one.ask, "gated-failure", headers=keyed(name))]
    until(held.claimed, "the first has the claim")
    asked.append(pool.submit(other.ask, "gated-failure", headers=keyed(name)))
    until(held.awaited, "the second waits")
    assert len(engine.of("gated-failure")) <= before + 1
    engine.gate.set()
    assert [code(one.result(20)) for one in asked] == ["upstream_failed"] * 2
    assert len(engine.of("gated-failure")) == before + 2
    until(lambda: not held.fields, "nothing is left of it")


def test_a_client_that_leaves_frees_the_key_for_all(pair: list[Gateway], engine: Engine, held: Held, name: str) -> None:
    one, other = pair
    with Clients() as clients:
        first = clients.ask(one, name, "endless", stream=True)
        assert first.word()
        seen = engine.of("stall-midway")[-1]
        first.leave()
        assert seen.cut_off.wait(30)
        until(lambda: not held.fields, "the key is free")
        anew = clients.ask(other, name, "endless", stream=True)
        assert anew.word()
        assert anew.answer().headers["idempotency-replayed"] is None


def test_while_redis_is_away_a_key_is_refused_and_all_else_goes_on(site: Site, engine: Engine, name: str) -> None:
    one, other = site.serve()
    site.redis.kill()
    before = len(engine.of("ok"))
    refused = [gateway.ask("ok", headers=keyed(name)) for gateway in (one, other) for _ in range(5)]
    assert {(answer.status_code, code(answer)) for answer in refused} == {(503, "idempotency_unavailable")}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert len(engine.of("ok")) == before
    assert one.ask("ok").status_code == 200
    assert "gateway_idempotency_shared 0.0" in one.get("/metrics").text
    site.redis.start()
    until(lambda: one.ask("ok", headers=keyed(name)).status_code == 200, "keys are taken again")
    again = until(lambda: _if_answered(other.ask("ok", headers=keyed(name))), "by the other too")
    assert again.headers["idempotency-replayed"] == "true"
    assert one.stop() == 0
    told = [line["message"] for line in one.lines() if "idempotency" in line["message"]]
    assert told == [
        "Redis does not answer for idempotency keys; requests with a key are refused",
        "idempotency keys are held in Redis again",
    ]


def test_a_redis_that_stalls_holds_no_request_for_ever(site: Site, name: str) -> None:
    (one,) = site.serve(1, patient=False)
    site.redis.stall()
    assert code(one.ask("ok", headers=keyed(name))) == "idempotency_unavailable"
    assert one.ask("ok").status_code == 200
    site.redis.go_on()
    until(lambda: one.ask("ok", headers=keyed(name)).status_code == 200, "keys are taken again")


def test_set_open_each_gateway_keeps_for_itself_while_redis_is_away(site: Site, engine: Engine, name: str) -> None:
    one, other = site.serve(GATEWAY_IDEMPOTENCY_FAIL_OPEN="true")
    site.redis.kill()
    before = len(engine.of("ok"))
    answers = [gateway.ask("ok", headers=keyed(name)) for gateway in (one, one, other, other)]
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", None, "true"]
    assert len(engine.of("ok")) == before + 2
    site.redis.start()
    assert one.ask("ok", headers=keyed(name)).headers["idempotency-replayed"] == "true", "what it kept stays"


def test_an_answer_that_redis_could_not_take_is_kept_here_and_told_later(
    site: Site, engine: Engine, pool: ThreadPoolExecutor, name: str
) -> None:
    one, other = site.serve(lease=1.5)
    with Held(site.redis) as held:
        before = len(engine.of("gated"))
        asked = pool.submit(one.ask, "gated", wait=True, headers=keyed(name))
        until(lambda: len(engine.of("gated")) > before, "the engine is asked")
        site.redis.kill()
        engine.gate.set()
        first = asked.result(20)
        assert first.status_code == 200
        assert one.ask("gated", wait=True, headers=keyed(name)).content == first.content
        site.redis.start()
        until(lambda: b"answer" in held.fields, "Redis is told")
        again = until(lambda: _if_answered(other.ask("gated", wait=True, headers=keyed(name))), "the other gives it")
        assert again.content == first.content
        assert len(engine.of("gated")) == before + 1


def test_a_redis_that_has_forgotten_learns_the_claim_anew(
    site: Site, engine: Engine, pool: ThreadPoolExecutor, name: str
) -> None:
    one, other = site.serve(lease=LEASE)
    before = len(engine.of("gated"))
    asked = [pool.submit(one.ask, "gated", wait=True, headers=keyed(name))]
    until(lambda: len(engine.of("gated")) > before, "the engine is asked")
    site.redis.kill()
    site.redis.start()
    with Held(site.redis) as held:
        until(held.claimed, "the holder says so again")
        until(lambda: "gateway_idempotency_shared 1.0" in other.get("/metrics").text, "both hear of it")
        asked.append(pool.submit(other.ask, "gated", wait=True, headers=keyed(name)))
        until(held.awaited, "the second waits")
    engine.gate.set()
    assert len({one.result(20).content for one in asked}) == 1
    assert len(engine.of("gated")) == before + 1


def test_what_redis_keeps_names_no_key_and_goes_by_itself(site: Site, engine: Engine, name: str) -> None:
    (one,) = site.serve(1, GATEWAY_IDEMPOTENCY_TTL_SECONDS="77")
    with Held(site.redis) as held:
        assert one.ask("ok", headers=keyed(name)).status_code == 200
        (key,) = site.redis.keys()
        assert key.startswith(b"nexus:idempotency:{")
        assert name.encode() not in key
        assert set(held.fields) == {b"fingerprint", b"answer"}
        assert 0 < held.left() <= 77_000


@pytest.mark.parametrize("nonsense", [b"*1\r\n" * 20_000, b"+what\r\n" * 9], ids=["nested", "what"])
def test_a_redis_that_talks_nonsense_is_one_that_is_away(site: Site, name: str, nonsense: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with suppress(OSError), ExitStack() as open_ones:
                while True:
                    connection, _ = listener.accept()
                    open_ones.enter_context(connection)
                    with suppress(OSError):  # it may leave in the middle
                        connection.sendall(nonsense)

        thread = threading.Thread(target=talk)
        thread.start()
        (one,) = site.serve(1, patient=False, GATEWAY_REDIS_URL=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        assert code(one.ask("ok", headers=keyed(name))) == "idempotency_unavailable"
        assert one.ask("ok").status_code == 200
        assert one.stop() == 0
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _if_answered(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 200 else None
