"""What the process environment sets about tokens: the `GATEWAY_JWT_*` names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.keys import LOOPBACK

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

HS256, RS256 = "HS256", "RS256"
_SECRET = "GATEWAY_JWT_SECRET"  # noqa: S105 - the name of a variable
_ALGORITHM = "GATEWAY_JWT_ALGORITHM"
_PUBLIC_KEY = "GATEWAY_JWT_PUBLIC_KEY"
_JWKS_URL = "GATEWAY_JWT_JWKS_URL"
_ISSUER = "GATEWAY_JWT_ISSUER"
_AUDIENCE = "GATEWAY_JWT_AUDIENCE"
_LEEWAY = "GATEWAY_JWT_LEEWAY_SECONDS"
_GIVERS = {HS256: _SECRET, RS256: f"{_PUBLIC_KEY} or {_JWKS_URL}"}
_SHORTEST_SECRET = 32
"""Bytes. RFC 7518, 3.2: no shorter than the digest."""
_LONGEST_LEEWAY = 300


@dataclass(frozen=True)
class TokenSettings:
    """Each key takes one algorithm: the secret HS256, the public key and the keys of the URL RS256."""

    secret: bytes | None = field(repr=False)
    public_key: RSAPublicKey | None
    jwks_url: str | None
    issuer: str | None
    """None takes any."""
    audiences: frozenset[str]
    """Empty takes only tokens that name none."""
    leeway_seconds: float

    @property
    def algorithms(self) -> frozenset[str]:
        found = {HS256} if self.secret is not None else set()
        return frozenset(found | ({RS256} if self.public_key is not None or self.jwks_url is not None else set()))


def read_token_settings(environ: Mapping[str, str]) -> TokenSettings | None:
    """None where no key is given: then no token is taken. Raises ConfigRefused that names the variable."""
    given = {name: environ[name] for name in (_SECRET, _PUBLIC_KEY, _JWKS_URL) if environ.get(name)}
    if not given:
        return None
    settings = TokenSettings(
        secret=_secret(given[_SECRET]) if _SECRET in given else None,
        public_key=_public_key(given[_PUBLIC_KEY]) if _PUBLIC_KEY in given else None,
        jwks_url=_jwks_url(given[_JWKS_URL]) if _JWKS_URL in given else None,
        issuer=_issuer(environ.get(_ISSUER)),
        audiences=_audiences(environ.get(_AUDIENCE)),
        leeway_seconds=_leeway(environ.get(_LEEWAY)),
    )
    return _only(settings, environ.get(_ALGORITHM))


def _only(settings: TokenSettings, text: str | None) -> TokenSettings:
    """Leaves out the keys of an algorithm that is not allowed."""
    if not text:
        return settings
    allowed = {part.strip() for part in text.split(",")}
    if not allowed <= _GIVERS.keys():
        raise ConfigRefused(f"{_ALGORITHM}: {text!r}: write HS256 or RS256, or both with `,` between")
    for algorithm in sorted(allowed - settings.algorithms):
        raise ConfigRefused(f"{_ALGORITHM}: {text!r}: no key of {algorithm} is given: set {_GIVERS[algorithm]}")
    return replace(
        settings,
        secret=settings.secret if HS256 in allowed else None,
        public_key=settings.public_key if RS256 in allowed else None,
        jwks_url=settings.jwks_url if RS256 in allowed else None,
    )


def _secret(text: str) -> bytes:
    from jwt.algorithms import HMACAlgorithm
    from jwt.exceptions import InvalidKeyError

    secret = os.fsencode(text)
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigRefused(
            f"{_SECRET}: {len(secret)} bytes long: give {_SHORTEST_SECRET} or more, as `openssl rand -hex 32` does"
        )
    if text != text.strip():
        raise ConfigRefused(f"{_SECRET}: begins or ends with white space, which the issuer's has not: take it away")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        raise ConfigRefused(
            f"{_SECRET}: holds a key of RSA or a JWK, which others may know: set {_PUBLIC_KEY}"
        ) from None


def _public_key(text: str) -> RSAPublicKey:
    from nexus_gateway.tokens.public_key import read_public_key

    return read_public_key(_PUBLIC_KEY, text)


def _jwks_url(text: str) -> str:
    shown = f"{_JWKS_URL}: " + ("its value" if "@" in text else repr(text))  # before `@` there may be a password
    try:
        parts = urlsplit(text)
        sound = bool(parts.hostname) and parts.port != 0 and text.isprintable() and " " not in text
    except ValueError:
        sound = False
    if not sound:
        raise ConfigRefused(f"{shown}: no URL: write https://host[:port]/path")
    if "@" in parts.netloc:
        raise ConfigRefused(f"{shown}: holds a user's name: a key set is public, so write the URL without")
    if parts.fragment or not _guarded(parts):
        raise ConfigRefused(f"{shown}: write https://host[:port]/path without `#`; http is for loopback")
    return text


def _guarded(parts: SplitResult) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _issuer(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise ConfigRefused(f"{_ISSUER}: {text!r}: write the issuer as its tokens do, or unset it to take any")
    return text


def _audiences(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset()
    named = [part.strip() for part in text.split(",")]
    if not all(named):
        raise ConfigRefused(f"{_AUDIENCE}: {text!r}: write one, or several with `,` between, or unset it")
    return frozenset(named)


def _leeway(text: str | None) -> float:
    if not text:
        return 30.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_LEEWAY:
        raise ConfigRefused(f"{_LEEWAY}: {text!r}: write a number of seconds from 0 to {_LONGEST_LEEWAY}")
    return seconds
