"""Tokens made by hand, since no library makes the bad ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef0123456789abcdef"
ISSUER, AUDIENCE = "https://issuer.test/", "nexus"
CLAIMS: dict[str, Any] = {
    "sub": "team-a", "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600, "nbf": NOW - 5, "iat": NOW - 5,
}  # fmt: skip


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """The same key for the same name, in one process and one thread. `small` has too few bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if name == "small" else 2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def part(value: Any) -> bytes:
    """Bytes stand for themselves; everything else is written as JSON."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def hs256(signed: bytes, secret: bytes = SECRET) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def rs256(signed: bytes, name: str = "pem") -> bytes:
    return rsa_key(name).sign(signed, padding.PKCS1v15(), hashes.SHA256())


def by_secret(header: Any = None, payload: Any = None, secret: bytes = SECRET) -> bytes:
    """`header` and `payload`: a mapping adds to the good one; bytes take its place."""
    signed = _signed({"alg": "HS256", "typ": "JWT"}, header, payload)
    return signed + b"." + b64(hs256(signed, secret))


def by_rsa(header: Any = None, payload: Any = None, key: str = "pem") -> bytes:
    signed = _signed({"alg": "RS256", "typ": "JWT"}, header, payload)
    return signed + b"." + b64(rs256(signed, key))


def _signed(good: dict[str, Any], header: Any, payload: Any) -> bytes:
    return part(_changed(good, header)) + b"." + part(_changed(CLAIMS, payload))


def _changed(good: dict[str, Any], change: Any) -> Any:
    if isinstance(change, dict):
        return {name: value for name, value in (good | change).items() if value is not ...}
    return good if change is None else change


def jwk(name: str, kid: str | None = None, **more: Any) -> dict[str, Any]:
    numbers = rsa_key(name).public_key().public_numbers()
    entry = {"kty": "RSA", "kid": kid or name, "n": _number(numbers.n), "e": _number(numbers.e)}
    return {name: value for name, value in (entry | more).items() if value is not ...}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()
