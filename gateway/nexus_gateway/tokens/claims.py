"""What a token says of its bearer (RFC 7519), once its signature is known to be good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_gateway.tokens.bad_token import BadToken
from nexus_gateway.tokens.settings import TokenSettings

_LONGEST = 256
"""Characters of a subject, or of a model's name."""
_LATEST = 253_402_300_800
"""The year 10000. An issuer that counts milliseconds is beyond it, and its tokens would never end."""


@dataclass(frozen=True)
class Claims:
    subject: str
    models: frozenset[str] | None
    """None where the token says nothing of models."""
    expires: float
    """Seconds since 1970, without leeway."""
    admin: bool = field(default=False, init=False)
    """No token is an administrator's."""


def read_claims(payload: Mapping[str, Any], settings: TokenSettings, now: float) -> Claims:
    """Raises BadToken."""
    expires = _lifetime(payload, settings.leeway_seconds, now)
    _addressed(payload, settings)
    return Claims(_text(payload.get("sub"), "sub"), _models(payload), expires)


def _lifetime(payload: Mapping[str, Any], leeway: float, now: float) -> float:
    expires = _moment(payload, "exp")
    if expires is None or expires <= now - leeway:
        raise BadToken("exp: missing or past")
    for name in ("nbf", "iat"):
        begins = _moment(payload, name)
        if begins is not None and begins > now + leeway:
            raise BadToken(f"{name}: to come")
    return expires


def _moment(payload: Mapping[str, Any], name: str) -> float | None:
    if name not in payload:
        return None
    value = payload[name]
    if type(value) not in (int, float) or not abs(value) < _LATEST:
        raise BadToken(f"{name}: no number of seconds")
    return float(value)


def _addressed(payload: Mapping[str, Any], settings: TokenSettings) -> None:
    """A token with `aud` is refused where no audience is set: RFC 7519, 4.1.3."""
    if settings.issuer is not None and payload.get("iss") != settings.issuer:
        raise BadToken("iss: another issuer")
    if "aud" not in payload and not settings.audiences:
        return
    audience = payload.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) for name in named) or settings.audiences.isdisjoint(named):
        raise BadToken("aud: another audience")


def _models(payload: Mapping[str, Any]) -> frozenset[str] | None:
    if "models" not in payload:
        return None
    models = payload["models"]
    if not isinstance(models, list):
        raise BadToken("models: no list")
    return frozenset(_text(model, "models") for model in models)


def _text(value: Any, name: str) -> str:
    """Printable, so that it can stand in a log line; half a character of two code units cannot."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise BadToken(f"{name}: no printable text of 1 to {_LONGEST} characters")
    return value
