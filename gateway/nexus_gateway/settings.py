"""What the process environment sets: the seed's `GATEWAY_*` names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.config_errors import ConfigRefused


@dataclass(frozen=True)
class Settings:
    api_keys: str | None
    breaker: BreakerSettings
    first_byte_seconds: float
    upstreams: str | None
    route_policies: str | None

    @property
    def has_routes(self) -> bool:
        return any((self.upstreams, self.route_policies))


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Raises ConfigRefused that names the variable."""
    return Settings(
        api_keys=environ.get("GATEWAY_API_KEYS"),
        breaker=BreakerSettings(
            max_failures=int(_number(environ, "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES", 5, whole=True)),
            reset_seconds=_number(environ, "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS", 30),
        ),
        first_byte_seconds=_number(environ, "GATEWAY_REQUEST_TIMEOUT_SECONDS", 10),
        upstreams=environ.get("GATEWAY_UPSTREAMS") or None,
        route_policies=environ.get("GATEWAY_ROUTE_POLICIES") or None,
    )


def routes_of_environment(settings: Settings) -> dict[str, bytes]:
    """The same as a route file would say: each upstream is a model of its own name, unless a policy has that name.

    Raises ConfigRefused.
    """
    upstreams = {name: {"url": url} for name, url in _upstreams(settings.upstreams or "")}
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes |= _policies(settings.route_policies)
    return {"environment.yaml": json.dumps({"upstreams": upstreams, "routes": routes}).encode()}


def _upstreams(text: str) -> list[tuple[str, str]]:
    pairs = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        name, found, url = entry.partition("=")
        if not found or not name.strip() or not url.strip():
            raise ConfigRefused(f"GATEWAY_UPSTREAMS: {entry!r}: write name=url, several with `;` between")
        pairs.append((name.strip(), url.strip()))
    if len({name for name, _ in pairs}) != len(pairs):
        raise ConfigRefused("GATEWAY_UPSTREAMS: a name stands twice")
    return pairs


def _policies(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ConfigRefused(f"GATEWAY_ROUTE_POLICIES: no JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ConfigRefused("GATEWAY_ROUTE_POLICIES: write a JSON object of model -> policy")
    return parsed


def _number(environ: Mapping[str, str], name: str, default: float, *, whole: bool = False) -> float:
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise ConfigRefused(f"{name}: {text!r}: write a {'whole number' if whole else 'number of seconds'} above 0")
    return value
