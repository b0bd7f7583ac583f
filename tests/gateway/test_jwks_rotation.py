"""An issuer's keys over time: how they come, how they go, and what happens while the issuer does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from nexus_gateway.exchange import Waiter
from nexus_gateway.tokens.bad_token import BadToken

from ..support.issuer import Gateway, Issuer, following, published, settled, story, until
from ..support.tokens import by_rsa, jwk, key_set, rsa_key
from ..support.web import Reply

EARLY = 240.0
"""Seconds after which a set is asked for again."""
COOLDOWN = 30.0
OLD, NEW, BOTH = ["k1"], ["k2"], ["k1", "k2"]


def page(kids: list[str]) -> Reply:
    return Reply(key_set(*(jwk(kid) for kid in kids)))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with published(page(OLD)) as running:
        yield running


def token(kid: str, **payload: Any) -> bytes:
    return by_rsa({"kid": kid}, payload, key=kid if kid in BOTH else "thief")


def taken(gateway: Gateway, kid: str, **payload: Any) -> bool:
    """Of a token that no fetch is waited for."""
    waiter = gateway.verifier.verify(token(kid, **payload))
    assert waiter.settled
    assert waiter.error is None or type(waiter.error) is BadToken
    return waiter.error is None


async def begun(gateway: Gateway) -> int:
    """How many fetches, with one that was started just now."""
    await asyncio.sleep(0)
    return len(gateway.fetches)


async def refreshed(gateway: Gateway) -> None:
    await until(lambda: gateway.jwks.status.age_seconds == 0)


@story
async def test_new_key_waits_for_the_cooldown_and_then_for_one_fetch(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        issuer.reply = page(BOTH)
        gateway.clock.now += COOLDOWN - 0.001
        assert not taken(gateway, "k2")
        assert await begun(gateway) == 1
        gateway.clock.now += 0.001
        waiters = [gateway.verifier.verify(token("k2", sub=f"team-{number}")) for number in range(5)]
        assert not any(waiter.settled for waiter in waiters)
        assert [(await settled(waiter)).subject for waiter in waiters] == [f"team-{number}" for number in range(5)]
        assert await begun(gateway) == 2
        assert taken(gateway, "k1")


@story
async def test_withdrawn_key_is_refused_after_the_refresh_though_its_token_was_remembered(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        assert taken(gateway, "k1")
        issuer.reply = page(NEW)
        gateway.clock.now += EARLY
        assert taken(gateway, "k1", sub="other"), "by the set at hand, while the fresh one is fetched"
        await refreshed(gateway)
        assert not taken(gateway, "k1")
        assert taken(gateway, "k2")


@story
async def test_kid_that_gets_another_key_takes_only_that_one(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        assert taken(gateway, "k1")
        issuer.reply = Reply(key_set(jwk("k2", "k1")))
        gateway.clock.now += EARLY
        assert taken(gateway, "k1", sub="other")
        await refreshed(gateway)
        assert not taken(gateway, "k1")
        assert gateway.verifier.verify(by_rsa({"kid": "k1"}, key="k2")).error is None


@story
async def test_set_is_fetched_again_before_its_time_is_over(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        gateway.clock.now += EARLY - 0.001
        assert taken(gateway, "k1")
        assert await begun(gateway) == 1
        gateway.clock.now += 0.001
        assert taken(gateway, "k1", sub="other")
        await refreshed(gateway)
        assert await begun(gateway) == 2


@story
async def test_set_is_fetched_again_where_nobody_asks(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        gateway.clock.now += EARLY
        await refreshed(gateway)
        assert await begun(gateway) == 2


@story
async def test_outage_keeps_the_last_good_set_and_is_tried_once_in_a_cooldown(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        issuer.reply = Reply(b"down", 503)
        gateway.clock.now += EARLY
        assert taken(gateway, "k1")
        await until(lambda: gateway.jwks.status.failure == "status 503")
        for _ in range(20):
            gateway.clock.now += COOLDOWN / 30
            assert taken(gateway, "k1", sub=str(gateway.clock.now))
        assert await begun(gateway) == 2
        issuer.reply = page(BOTH)
        gateway.clock.now += COOLDOWN
        assert taken(gateway, "k1", sub="other")
        await refreshed(gateway)
        assert taken(gateway, "k2")
        assert gateway.jwks.status.failure is None


@story
async def test_issuer_that_is_late_is_followed_once_it_answers(issuer: Issuer) -> None:
    good, issuer.reply = issuer.reply, Reply(b"starting", 503)
    async with following(issuer) as gateway:
        assert gateway.jwks.status.age_seconds is None
        assert not taken(gateway, "k1")
        issuer.reply = good
        gateway.clock.now += COOLDOWN
        assert (await settled(gateway.verifier.verify(token("k1")))).subject == "team-a"


@story
async def test_flood_of_unknown_kids_makes_one_fetch_in_a_cooldown(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        for round_ in range(1, 4):
            gateway.clock.now += COOLDOWN
            flood = [gateway.verifier.verify(token(f"kid-{round_}-{number}")) for number in range(500)]
            assert not any(waiter.settled for waiter in flood)
            for waiter in flood:
                with pytest.raises(BadToken):
                    await settled(waiter)
            assert not any(taken(gateway, f"later-{round_}-{number}") for number in range(500))
            assert await begun(gateway) == 1 + round_


@story
async def test_kid_that_a_fresh_set_did_not_hold_is_not_asked_for_again_at_once(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        gateway.clock.now += COOLDOWN
        assert await settled(gateway.jwks.find("k2")) is None
        gateway.clock.now += 2 * COOLDOWN - 0.001
        assert gateway.jwks.find("k2").settled
        assert await begun(gateway) == 2
        issuer.reply = page(BOTH)
        gateway.clock.now += 0.001
        assert await settled(gateway.jwks.find("k2")) is not None


@story
async def test_kid_that_a_failed_fetch_did_not_bring_may_be_asked_for_after_the_cooldown(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        issuer.reply = Reply(b"down", 503)
        gateway.clock.now += COOLDOWN
        assert await settled(gateway.jwks.find("k2")) is None
        issuer.reply = page(BOTH)
        gateway.clock.now += COOLDOWN
        assert await settled(gateway.jwks.find("k2")) is not None


@story
async def test_slow_issuer_keeps_nobody_waiting_whose_key_is_known(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        issuer.open.clear()
        issuer.reply = page(BOTH)
        gateway.clock.now += EARLY
        waiting = gateway.verifier.verify(token("k2"))
        await until(lambda: len(issuer.web.asked) == 2)
        assert all(taken(gateway, "k1", sub=str(number)) for number in range(20))
        gateway.clock.now += COOLDOWN
        assert taken(gateway, "k1", sub="later")
        assert not waiting.settled
        assert await begun(gateway) == 2
        issuer.open.set()
        assert (await settled(waiting)).subject == "team-a"


@story
async def test_no_more_than_a_thousand_wait(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        issuer.open.clear()
        gateway.clock.now += COOLDOWN
        waiters = [gateway.jwks.find(f"kid-{number}") for number in range(1_001)]
        assert [waiter.settled for waiter in waiters] == [False] * 1_000 + [True]
        issuer.open.set()
        assert [await settled(waiter) for waiter in waiters] == [None] * 1_001


@story
async def test_expired_token_causes_no_fetch(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        gateway.clock.now += COOLDOWN
        assert not taken(gateway, "k2", exp=1)
        assert await begun(gateway) == 1


@story
async def test_one_caller_s_fault_is_not_the_next_one_s(issuer: Issuer) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def fault() -> None:
        raise ZeroDivisionError

    async with following(issuer) as gateway:
        issuer.reply = page(BOTH)
        gateway.clock.now += COOLDOWN
        first, second = gateway.jwks.find("k2"), gateway.jwks.find("k2")
        first.then(fault)
        assert (await settled(second)) == rsa_key("k2").public_key()
        assert len(faults) == 1


@story
async def test_end_of_the_gateway_refuses_who_waits_and_asks_no_more(issuer: Issuer) -> None:
    waiter: Waiter[Any]
    async with following(issuer) as gateway:
        issuer.open.clear()
        gateway.clock.now += COOLDOWN
        waiter = gateway.verifier.verify(token("k2"))
        await until(lambda: len(issuer.web.asked) == 2)
    with pytest.raises(BadToken):
        await settled(waiter)
    gateway.clock.now += EARLY
    assert taken(gateway, "k1")
    assert not taken(gateway, "k2")
    assert await begun(gateway) == 2
