"""An issuer's keys: which ones are taken, and over what."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from nexus_gateway.exchange import Waiter
from nexus_gateway.tokens.bad_token import BadToken
from nexus_gateway.tokens.claims import Claims
from nexus_gateway.tokens.fetch import http_fetch
from nexus_gateway.tokens.jwks import Jwks

from ..support.issuer import Issuer, following, published, settled, story, until
from ..support.tokens import Clock, by_rsa, jwk, key_set, rsa_key
from ..support.web import Reply, serve

EARLY = 240.0
"""Seconds after which a set is asked for again."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with published(Reply(key_set(jwk("k1")))) as running:
        yield running


def token(kid: str, key: str | None = None) -> bytes:
    return by_rsa({"kid": kid}, key=key or kid)


async def refused(waiter: Waiter[Claims]) -> None:
    with pytest.raises(BadToken):
        await settled(waiter)


@story
async def test_token_by_a_published_key_is_taken(issuer: Issuer) -> None:
    async with following(issuer) as gateway:
        waiter = gateway.verifier.verify(token("k1"))
        assert waiter.settled
        assert waiter.error is None
        assert waiter.value.subject == "team-a"
        assert (gateway.jwks.status.keys, gateway.jwks.status.age_seconds) == (1, 0.0)


def bad_replies() -> dict[str, tuple[Reply, str]]:
    good = jwk("k1")
    sets: dict[str, tuple[Any, str]] = {
        "no keys": ([], "no key for RS256"),
        "EC alone": ([{"kty": "EC", "kid": "e", "crv": "P-256", "x": "AA", "y": "AA"}], "no key for RS256"),
        "symmetric alone": ([{"kty": "oct", "kid": "k1", "k": "c2VjcmV0", "alg": "HS256"}], "no key for RS256"),
        "one kid twice": ([good, jwk("k2", "k1")], "a kid stands twice"),
        "one key twice": ([good, good], "a kid stands twice"),
        "keys that are no list": ({"k1": good}, "no list of keys"),
        "keys that are no objects": ([1, None, "k1", [good]], "no key for RS256"),
    }
    html = Reply(b"<!doctype html><title>Sign in</title>", headers={"content-type": "text/html"})
    page = json.dumps({"keys": [good]}).encode()
    return {name: (Reply(json.dumps({"keys": keys}).encode()), why) for name, (keys, why) in sets.items()} | {
        "HTML": (html, "no JSON object"),
        "nothing": (Reply(b""), "no JSON object"),
        "a list": (Reply(b"[" + page + b"]"), "no JSON object"),
        "no keys field": (Reply(b'{"error": "busy"}'), "no list of keys"),
        "keys twice": (Reply(page[:-1] + b', "keys": []}'), "no JSON object"),
        "cut short": (Reply(page[:-5]), "no JSON object"),
        "nested deep": (Reply(b'{"keys":' + b"[" * 100_000), "no JSON object"),
        "no UTF-8": (Reply(page.replace(b"k1", b"k\xff")), "no JSON object"),
        "compressed": (Reply(gzip.compress(page), headers={"content-encoding": "gzip"}), "DecodingError"),
        "huge": (Reply(page + b" " * (256 << 10)), "longer than 262144 bytes"),
        "status 500": (Reply(page, 500), "status 500"),
        "status 203": (Reply(page, 203), "status 203"),
        "a length that lies": (Reply(page, headers={"content-length": str(len(page) + 9)}), "RemoteProtocolError"),
    }


@pytest.mark.parametrize("name", list(bad_replies()))
@story
async def test_last_good_set_stays_whatever_comes_after_it(name: str, issuer: Issuer) -> None:
    bad, why = bad_replies()[name]
    async with following(issuer) as gateway:
        issuer.reply = bad
        gateway.clock.now += EARLY
        assert gateway.verifier.verify(token("k1")).settled
        await until(lambda: gateway.jwks.status.failure is not None)
        assert gateway.jwks.status.failure == why
        assert gateway.jwks.status.age_seconds == EARLY
        assert gateway.jwks.status.keys == 1
        gateway.clock.now += 10 * EARLY
        assert await settled(gateway.jwks.find("k1")) is not None


@story
async def test_redirect_is_not_followed(issuer: Issuer) -> None:
    body = key_set(jwk("thief"))
    with serve(lambda _: Reply(body)) as trap:
        issuer.reply = Reply(b"", 302, {"location": f"{trap.url}/jwks"})
        async with following(issuer) as gateway:
            assert gateway.jwks.status.failure == "status 302"
            await refused(gateway.verifier.verify(token("thief")))
        assert trap.asked == []


@story
async def test_proxy_of_the_environment_is_not_taken(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: Reply(b"")) as trap:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url)
        async with following(issuer) as gateway:
            assert gateway.jwks.status.keys == 1
        assert trap.asked == []


@story
async def test_keys_that_are_not_for_this_are_skipped(issuer: Issuer) -> None:
    skipped: dict[str, Any] = {
        "enc": {"use": "enc"}, "ps": {"alg": "PS256"}, "hs": {"alg": "HS256"}, "signer": {"key_ops": ["sign"]},
        "text-ops": {"key_ops": "verify"}, "leaked": {"d": "AQAB"}, "ec": {"kty": "EC"}, "lower": {"kty": "rsa"},
        "no-e": {"e": ...}, "no-n": {"n": ...}, "even": {"e": "Ag"}, "one": {"e": "AQ"}, "number": {"n": 7},
        "broken": {"n": "!"},
    }  # fmt: skip
    entries = [jwk("k1", kid, **change) for kid, change in skipped.items()]
    entries += [jwk("small"), jwk("k1", kid=...), jwk("k1", "x" * 129), jwk("k1", "a b"), jwk("k1", "k\n")]
    issuer.reply = Reply(key_set(*entries, jwk("k1", use="sig", alg="RS256", key_ops=["verify"], x5c=["MIIB"])))
    async with following(issuer) as gateway:
        assert gateway.jwks.status.keys == 1
        assert gateway.verifier.verify(token("k1")).error is None
        for kid in skipped:
            await refused(gateway.verifier.verify(token(kid, "k1")))
        await refused(gateway.verifier.verify(token("small")))


@story
async def test_issuer_that_is_not_there_is_told_of_without_its_url() -> None:
    jwks = Jwks("http://127.0.0.1:1/jwks?key=swordfish", http_fetch(), Clock())
    jwks.begin(asyncio.get_running_loop())
    assert await settled(jwks.find("k1")) is None
    assert (jwks.status.keys, jwks.status.age_seconds, jwks.status.failure) == (0, None, "ConnectError")
    jwks.close()


@story
async def test_issuer_that_does_not_end_is_given_up(issuer: Issuer) -> None:
    issuer.open.clear()
    async with following(issuer, patience=0.05) as gateway:
        assert gateway.jwks.status.failure == "no whole answer in time"


@pytest.mark.parametrize("trusted", [False, True])
@story
async def test_https_is_taken_only_by_a_certificate_that_is_trusted(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.pem").write_bytes(certificate())
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    page = key_set(jwk("k1"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(page) + page)
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "own.pem")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        jwks = Jwks(url, http_fetch(), Clock(), timeout=60.0)
        jwks.begin(asyncio.get_running_loop())
        assert (await settled(jwks.find("k1")) is not None) is trusted
        assert jwks.status.failure == (None if trusted else "ConnectError")
        jwks.close()


def certificate() -> bytes:
    """With its key, by itself, for this machine."""
    key, name = rsa_key("tls"), x509.Name([])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=9))
    signed = made.add_extension(address, critical=True).sign(key, hashes.SHA256())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, form, serialization.NoEncryption()) + signed.public_bytes(pem)
