"""Which tokens are taken, and for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_gateway.exchange import Waiter
from nexus_gateway.tokens.bad_token import BadToken
from nexus_gateway.tokens.claims import Claims
from nexus_gateway.tokens.fetch import Fetch, http_fetch
from nexus_gateway.tokens.jwks import Jwks
from nexus_gateway.tokens.settings import TokenSettings, read_token_settings
from nexus_gateway.tokens.verify import TokenVerifier

from ..support.hostile_tokens import Hostile, hostile
from ..support.issuer import settled
from ..support.tokens import (
    AUDIENCE,
    ISSUER,
    NOW,
    SECRET,
    Clock,
    by_rsa,
    by_secret,
    jwk,
    key_set,
    public_pem,
    rsa_key,
)
from ..support.web import Reply, Web, serve

CHECKS = {"GATEWAY_JWT_ISSUER": ISSUER, "GATEWAY_JWT_AUDIENCE": f"{AUDIENCE}, second"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Web]:
    reply = Reply(key_set(jwk("k1")))
    with serve(lambda _: reply) as web:
        yield web


@pytest.fixture(scope="module")
def trap() -> Iterator[Web]:
    reply = Reply(key_set(jwk("thief")))
    with serve(lambda _: reply) as web:
        yield web


@pytest.fixture(scope="module")
def fetch() -> Fetch:
    return http_fetch()


def settings(**environ: str) -> TokenSettings:
    found = read_token_settings({f"GATEWAY_JWT_{name}": value for name, value in environ.items()} | CHECKS)
    assert found is not None
    return found


def by_the_secret(clock: Clock | None = None, **environ: str) -> TokenVerifier:
    return TokenVerifier(settings(SECRET=SECRET.decode(), **environ), None, clock or Clock())


def now(waiter: Waiter[Claims]) -> Claims:
    """Of a token that no fetch is needed for."""
    assert waiter.settled
    if waiter.error:
        raise waiter.error
    return waiter.value


async def ask_everything(issuer: Web, fetch: Fetch, *tokens: bytes) -> list[Claims | BaseException]:
    """A gateway that takes all kinds of keys at once, and holds the issuer's."""
    pem = public_pem(rsa_key("pem")).decode()
    jwks = Jwks(f"{issuer.url}/jwks", fetch, Clock(), timeout=60)
    every = settings(SECRET=SECRET.decode(), PUBLIC_KEY=pem, JWKS_URL=f"{issuer.url}/jwks")
    verifier = TokenVerifier(every, jwks, Clock())
    jwks.begin(asyncio.get_running_loop())
    try:
        await settled(verifier.verify(by_rsa({"kid": "k1"}, key="k1")))
        return await asyncio.gather(*(settled(verifier.verify(token)) for token in tokens), return_exceptions=True)
    finally:
        jwks.close()


def rows() -> list[Any]:
    return [pytest.param(index, id=row.name) for index, row in enumerate(hostile("http://127.0.0.1:1"))]


@pytest.fixture(scope="module")
def table(trap: Web) -> list[Hostile]:
    return list(hostile(trap.url))


@pytest.mark.parametrize("index", rows())
def test_hostile_token_is_refused(index: int, table: list[Hostile], issuer: Web, trap: Web, fetch: Fetch) -> None:
    row = table[index]
    before = len(issuer.asked)
    [outcome] = asyncio.run(ask_everything(issuer, fetch, row.token))
    assert type(outcome) is BadToken
    assert str(outcome).startswith(row.reason), outcome
    assert trap.asked == []
    assert issuer.asked[before:] == ["GET /jwks"]


def test_the_table_is_as_broad_as_it_says() -> None:
    names = [row.name for row in hostile("http://127.0.0.1:1")]
    assert len(names) == len(set(names)) >= 250


def test_what_the_hostile_ones_are_made_of_is_taken(issuer: Web, fetch: Fetch) -> None:
    good = [
        by_secret(),
        by_rsa(),
        by_rsa({"kid": "k1"}, key="k1"),
        by_secret({"typ": ...}),
        by_secret({"kid": "a/b+c=="}),
    ]
    outcomes = asyncio.run(ask_everything(issuer, fetch, *good))
    assert outcomes == [Claims("team-a", None, NOW + 600)] * len(good)


@pytest.mark.parametrize("token", [b"\xff" * 100, bytearray(b"a.b.c"), "a.b.c", None, 7])
def test_whatever_is_no_token_is_refused_alike(token: Any) -> None:
    with pytest.raises(BadToken):
        now(by_the_secret().verify(token))


def test_refusal_holds_nothing_of_the_token() -> None:
    waiter = by_the_secret().verify(by_secret(payload={"sub": 1, "aud": AUDIENCE, "secret": "swordfish"}))
    error = waiter.error
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)
    assert "swordfish" not in repr(error)


@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        ({}, Claims("team-a", None, NOW + 600)),
        ({"models": []}, Claims("team-a", frozenset(), NOW + 600)),
        ({"models": ["chat", "code", "chat"]}, Claims("team-a", frozenset({"chat", "code"}), NOW + 600)),
        ({"sub": "x" * 256}, Claims("x" * 256, None, NOW + 600)),
        ({"sub": "팀 가"}, Claims("팀 가", None, NOW + 600)),
        ({"aud": ["other", "second"]}, Claims("team-a", None, NOW + 600)),
        ({"nbf": ..., "iat": ...}, Claims("team-a", None, NOW + 600)),
        ({"exp": int(NOW) + 1}, Claims("team-a", None, NOW + 1)),
        ({"admin": True, "scope": "admin", "scopes": ["admin"]}, Claims("team-a", None, NOW + 600)),
        ({"nested": json.loads("[" * 15 + "]" * 15)}, Claims("team-a", None, NOW + 600)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_claims_are_read(payload: dict[str, Any], claims: Claims) -> None:
    assert now(by_the_secret().verify(by_secret(payload=payload))) == claims


def test_no_token_makes_an_administrator() -> None:
    assert now(by_the_secret().verify(by_secret(payload={"admin": True}))).admin is False


@pytest.mark.parametrize("leeway", [0, 30, 300])
def test_leeway_is_exact_on_both_sides(leeway: int) -> None:
    verifier = by_the_secret(LEEWAY_SECONDS=str(leeway))
    for payload in ({"exp": NOW - leeway + 0.001}, {"nbf": NOW + leeway}, {"iat": NOW + leeway}):
        now(verifier.verify(by_secret(payload=payload)))
    for payload in ({"exp": NOW - leeway}, {"nbf": NOW + leeway + 0.001}, {"iat": NOW + leeway + 0.001}):
        with pytest.raises(BadToken):
            now(verifier.verify(by_secret(payload=payload)))


def test_public_key_is_taken_as_text_as_one_line_and_as_a_file(tmp_path: Path) -> None:
    pem = public_pem(rsa_key("pem")).decode()
    (tmp_path / "key.pem").write_text(pem)
    for value in (pem, pem.replace("\n", "\\n"), str(tmp_path / "key.pem")):
        verifier = TokenVerifier(settings(PUBLIC_KEY=value), None, Clock())
        assert now(verifier.verify(by_rsa({"kid": "anything"}))).subject == "team-a"
        with pytest.raises(BadToken):
            now(verifier.verify(by_secret()))


def test_audience_that_nobody_set_is_nobody_s() -> None:
    bare = read_token_settings({"GATEWAY_JWT_SECRET": SECRET.decode()})
    assert bare is not None
    verifier = TokenVerifier(bare, None, Clock())
    assert now(verifier.verify(by_secret(payload={"aud": ..., "iss": ...}))).subject == "team-a"
    with pytest.raises(BadToken, match="aud"):
        now(verifier.verify(by_secret()))


def test_verified_token_is_remembered_for_60_seconds() -> None:
    """The claims show it: they are the same object as long as nothing was read anew."""
    clock = Clock()
    verifier = by_the_secret(clock)
    claims = now(verifier.verify(by_secret()))
    clock.now = NOW + 59.999
    assert now(verifier.verify(by_secret())) is claims
    clock.now = NOW + 60
    anew = now(verifier.verify(by_secret()))
    assert anew is not claims
    assert anew == claims


def test_token_expires_while_it_is_remembered() -> None:
    clock = Clock()
    verifier = by_the_secret(clock, LEEWAY_SECONDS="0")
    token = by_secret(payload={"exp": NOW + 10})
    now(verifier.verify(token))
    clock.now = NOW + 9.999
    now(verifier.verify(token))
    clock.now = NOW + 10
    with pytest.raises(BadToken, match="exp"):
        now(verifier.verify(token))


def test_token_that_differs_in_one_place_is_not_another_s() -> None:
    verifier = by_the_secret()
    token = by_secret()
    now(verifier.verify(token))
    for place in (-1, -2, -20, 60, 10, 0):
        other = bytearray(token)
        other[place] = ord("A") if other[place] != ord("A") else ord("E")
        with pytest.raises(BadToken):
            now(verifier.verify(bytes(other)))
    assert now(verifier.verify(token)).subject == "team-a"


def test_refused_token_is_not_remembered() -> None:
    clock = Clock()
    verifier = by_the_secret(clock)
    token = by_secret(payload={"nbf": NOW + 31})
    with pytest.raises(BadToken):
        now(verifier.verify(token))
    clock.now = NOW + 1
    assert now(verifier.verify(token)).subject == "team-a"


def test_what_is_remembered_is_bounded_and_the_longest_unused_goes_first() -> None:
    verifier = by_the_secret()
    tokens = [by_secret(payload={"sub": str(number)}) for number in range(10_001)]
    claims = [now(verifier.verify(token)) for token in tokens[:10_000]]
    assert now(verifier.verify(tokens[0])) is claims[0]
    now(verifier.verify(tokens[10_000]))
    assert now(verifier.verify(tokens[0])) is claims[0]
    assert now(verifier.verify(tokens[2])) is claims[2]
    assert now(verifier.verify(tokens[1])) is not claims[1]
