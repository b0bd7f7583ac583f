"""A request that is sent again while the first is still answered: it joins that call."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..support.gateway import Gateway, code, direct, until, write_routes
from ..support.leaving_client import Clients
from ..support.upstream import WORDS, Engine, Seen

BIG = 12_000_000
"""Bytes; more than the buffers of both sides hold."""


@pytest.fixture(autouse=True)
def closed_gate(engine: Engine) -> Iterator[None]:
    engine.gate.clear()
    yield
    engine.gate.set()


@pytest.fixture(scope="module")
def routes(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {name: direct(name, engine.url(name)) for name in ("gated", "gated-stream", "gated-failure", "ok")}
    files["patient"] = direct("patient", engine.url("stall-midway"), chunk_seconds=1.0)
    files["endless"] = direct("endless", engine.url("stall-midway"))
    return write_routes(tmp_path_factory.mktemp("routes") / "routes", files)


@pytest.fixture(scope="module")
def once(routes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    yield from serving(routes, tmp_path_factory, str(2 * BIG))


@pytest.fixture(scope="module")
def small(routes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Keeps answers of 1 MiB."""
    yield from serving(routes, tmp_path_factory, str(1 << 20))


def serving(routes: Path, paths: pytest.TempPathFactory, largest: str) -> Iterator[Gateway]:
    env = {
        "GATEWAY_IDEMPOTENCY_LARGEST_BYTES": largest,
        "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "1000",
        "GATEWAY_REQUEST_TIMEOUT_SECONDS": "60",
    }
    gateway = Gateway(paths.mktemp("once"), "--routes", str(routes), env=env).wait()
    yield gateway
    assert gateway.stop() == 0


def joined(gateway: Gateway, count: int) -> None:
    """Waits until so many requests are under way."""
    line = f"gateway_in_flight_requests {count}.0\n"
    until(lambda: line in gateway.get("/metrics").text, f"{count} requests are under way")


def called(engine: Engine, behaviour: str, before: int) -> Seen:
    return until(lambda: engine.of(behaviour)[before:], "the engine is asked")[0]  # type: ignore[no-any-return]  # `until` gives what it waited for


@pytest.fixture
def clients() -> Iterator[Clients]:
    with Clients() as made:
        yield made


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_who_joins_a_stream_gets_it_from_its_beginning_and_then_live(
    once: Gateway, engine: Engine, clients: Clients, name: str
) -> None:
    before = len(engine.of("gated-stream"))
    first = clients.ask(once, name, "gated-stream", stream=True)
    word = first.word()
    second = clients.ask(once, name, "gated-stream", stream=True)
    assert second.word() == word, "while the engine still waits"
    assert second.answer().headers["idempotency-replayed"] == "true"
    assert second.answer().headers["idempotency-original-request-id"] == first.answer().headers["x-request-id"]
    engine.gate.set()
    text = first.answer().read()
    assert second.answer().read() == text
    assert text.endswith(b"data: [DONE]\n\n")
    assert len(engine.of("gated-stream")) == before + 1


def test_who_joins_a_whole_answer_waits_for_it(once: Gateway, engine: Engine, clients: Clients, name: str) -> None:
    before = len(engine.of("gated"))
    asking = [clients.ask(once, name, "gated", wait=True) for _ in range(5)]
    joined(once, 5)
    engine.gate.set()
    bodies = [client.answer().read() for client in asking]
    assert {client.answer().status for client in asking} == {200}
    assert len(set(bodies)) == 1
    assert len(engine.of("gated")) == before + 1
    replays = [client.answer().headers["idempotency-replayed"] for client in asking]
    assert sorted(replays, key=str) == [None, *["true"] * 4]


def test_another_body_is_a_conflict_while_the_first_is_answered(
    once: Gateway, engine: Engine, clients: Clients, name: str
) -> None:
    first = clients.ask(once, name, "gated", wait=True)
    joined(once, 1)
    other = once.ask("gated", headers={"idempotency-key": name})
    assert (other.status_code, code(other)) == (409, "idempotency_conflict")
    engine.gate.set()
    assert first.answer().status == 200


@pytest.mark.parametrize("model", ["gated-stream", "gated"])
def test_the_first_client_s_leaving_does_not_end_what_another_has_joined(
    once: Gateway, engine: Engine, clients: Clients, name: str, model: str
) -> None:
    before, body = len(engine.of(model)), {"stream": model == "gated-stream", "wait": True}
    first = clients.ask(once, name, model, **body)
    joined(once, 1)
    second = clients.ask(once, name, model, **body)
    joined(once, 2)
    first.leave()
    third = clients.ask(once, name, model, **body)
    joined(once, 3)
    engine.gate.set()
    text = second.answer().read()
    assert text.endswith(b"data: [DONE]\n\n" if body["stream"] else b"}")
    assert third.answer().read() == text
    again = clients.ask(once, name, model, **body)
    assert again.answer().read() == text, "it is kept all the same"
    assert len(engine.of(model)) == before + 1


def test_a_joiner_s_leaving_disturbs_nobody(once: Gateway, engine: Engine, clients: Clients, name: str) -> None:
    before = len(engine.of("gated-stream"))
    first = clients.ask(once, name, "gated-stream", stream=True)
    first.word()
    second = clients.ask(once, name, "gated-stream", stream=True)
    second.word()
    second.leave()
    joined(once, 1)
    engine.gate.set()
    assert first.answer().read().endswith(b"data: [DONE]\n\n")
    assert len(engine.of("gated-stream")) == before + 1


@pytest.mark.parametrize("joins", [0, 2])
def test_when_everybody_has_left_the_engine_is_cut_off_and_the_key_is_free(
    once: Gateway, engine: Engine, clients: Clients, name: str, joins: int
) -> None:
    before = len(engine.of("stall-midway"))
    asking = [clients.ask(once, name, "endless", stream=True) for _ in range(joins + 1)]
    for client in asking:
        client.word()
    seen = called(engine, "stall-midway", before)
    for client in asking:
        assert not seen.cut_off.is_set()
        client.leave()
    assert seen.cut_off.wait(30), "the engine works on for nobody"
    anew = clients.ask(once, name, "endless", stream=True)
    assert anew.word()
    assert anew.answer().headers["idempotency-replayed"] is None
    assert len(engine.of("stall-midway")) == before + 2
    anew.leave()


def test_a_client_that_is_stuck_does_not_hold_up_its_own_retry(
    once: Gateway, engine: Engine, clients: Clients, name: str
) -> None:
    """Its connection is half dead: nobody reads, and nobody has closed it."""
    stuck = clients.ask(once, name, "gated-stream", reads_little=True, stream=True, bytes=BIG)
    stuck.word()
    retry = clients.ask(once, name, "gated-stream", stream=True, bytes=BIG)
    retry.word()
    engine.gate.set()
    text = retry.answer().read()
    assert len(text) > BIG
    assert text.endswith(b"data: [DONE]\n\n")
    assert stuck.answer().read() == text, "and it loses nothing, once it reads"


def test_a_slow_joiner_slows_nobody_and_costs_bounded_memory(
    small: Gateway, engine: Engine, clients: Clients, name: str
) -> None:
    first = clients.ask(small, name, "gated-stream", stream=True, bytes=6 * BIG)
    first.word()
    slow = clients.ask(small, name, "gated-stream", reads_little=True, stream=True, bytes=6 * BIG)
    slow.word()
    before = _rss(small)
    engine.gate.set()
    taken = 0
    while block := first.answer().read(1 << 20):
        taken += len(block)
        assert _rss(small) - before < 40 << 20
    assert taken > 6 * BIG
    assert b"stream_broken" in slow.answer().read(), "what it missed is gone, and it is told so"


def test_what_the_first_call_fails_of_is_told_to_who_joined(
    once: Gateway, engine: Engine, clients: Clients, name: str
) -> None:
    before = len(engine.of("gated-failure"))
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(once.ask, "gated-failure", headers={"idempotency-key": name}) for _ in range(3)]
        joined(once, 3)
        engine.gate.set()
        answers = [one.result(20) for one in asked]
    assert [(answer.status_code, code(answer)) for answer in answers] == [(502, "upstream_failed")] * 3
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert len(engine.of("gated-failure")) == before + 1


def test_a_stream_that_breaks_breaks_for_all(once: Gateway, engine: Engine, clients: Clients, name: str) -> None:
    asking = [clients.ask(once, name, "patient", stream=True) for _ in range(2)]
    texts = [client.answer().read() for client in asking]
    assert [WORDS[0].encode() in text for text in texts] == [True, True]
    assert [b"stream_broken" in text for text in texts] == [True, True]
    assert texts[0] == texts[1]


def _rss(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))
