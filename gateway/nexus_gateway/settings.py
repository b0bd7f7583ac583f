"""What the process environment sets: the seed's `GATEWAY_*` names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nexus_gateway import native
from nexus_gateway.breaker import BreakerSettings
from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.console.settings import VARIABLES as CONSOLE_VARIABLES
from nexus_gateway.console.settings import ConsoleSettings, read_console_settings
from nexus_gateway.idempotency.settings import SHORTEST_LEASE, IdempotencySettings
from nexus_gateway.kept_responses.place import KEPT_SECONDS
from nexus_gateway.keys import Keys, digest
from nexus_gateway.routes_file import EVERY_SUBJECT
from nexus_gateway.shedding import MOST_IN_FLIGHT

Edge = Literal["native", "wire", "asgi"]
EDGES: tuple[Edge, ...] = get_args(Edge)

VARIABLES: tuple[tuple[str, str, str], ...] = (
    (
        "GATEWAY_API_KEYS",
        "`dev-key` on loopback",
        "Keys: one, several with commas, or a JSON list. With `--keys`: none.",
    ),
    ("GATEWAY_API_KEY_POLICIES", "", '`{"dev-key": {"allowed_models":["chat"], "rate_limit_per_minute": 30}}`.'),
    ("GATEWAY_JWT_SECRET", "", "Signs tokens by HS256; 32 bytes or more."),
    ("GATEWAY_JWT_PUBLIC_KEY", "", "Proves tokens by RS256: PEM text, or the path of a PEM file."),
    ("GATEWAY_JWT_JWKS_URL", "", "The same with the keys that an issuer publishes; https, or http on loopback."),
    ("GATEWAY_JWT_ALGORITHM", "by the keys given", "HS256, RS256, or both with a comma: which of the keys are taken."),
    ("GATEWAY_JWT_ISSUER", "any", "`iss` that a token must have."),
    ("GATEWAY_JWT_AUDIENCE", "none", "`aud` of which a token must have one; several with commas."),
    ("GATEWAY_JWT_LEEWAY_SECONDS", "30", "By which clocks may differ, 0 to 300."),
    ("GATEWAY_RATE_LIMIT_PER_MINUTE", "60", "Requests of each key or subject, where routes come from variables."),
    (
        "GATEWAY_REDIS_URL",
        "",
        "`redis://localhost:6379/0`, or `redis+sentinel://:password@host:26379,host:26379/name/0`: limits, idempotency"
        " keys and kept responses of all gateways together.",
    ),
    ("GATEWAY_REDIS_DEADLINE_SECONDS", "0.05", "For one batch of limits; after it this gateway counts for itself."),
    ("GATEWAY_LIMITS_FAIL_OPEN", "true", "While Redis is away each gateway counts for itself; `false`: 503."),
    ("GATEWAY_IDEMPOTENCY_TTL_SECONDS", "600", "How long an answer is kept for its `Idempotency-Key`."),
    (
        "GATEWAY_IDEMPOTENCY_LARGEST_BYTES",
        "1048576",
        "Of one answer that is kept; a larger one is only relayed.",
    ),
    (
        "GATEWAY_IDEMPOTENCY_TOTAL_BYTES",
        "67108864",
        "Of all that one process keeps; the least recently used goes.",
    ),
    ("GATEWAY_IDEMPOTENCY_ENTRIES", "10000", "Answers that one process keeps."),
    ("GATEWAY_IDEMPOTENCY_LEASE_SECONDS", "10", "Until the keys of a gateway that was killed are free again."),
    ("GATEWAY_IDEMPOTENCY_FAIL_OPEN", "false", "While Redis is away: 503; `true`: each gateway keeps for itself."),
    ("GATEWAY_RESPONSES_TTL_SECONDS", "86400", "How long it is remembered which engine keeps a response, and whose."),
    ("GATEWAY_UPSTREAMS", "", "`llama=http://localhost:8001;mock=mock://local`; each is a model of its own name."),
    ("GATEWAY_ROUTE_POLICIES", "", "JSON: model -> a route as in a route file."),
    ("GATEWAY_DEFAULT_UPSTREAM", "", "Who answers for models that have no route."),
    ("GATEWAY_FALLBACKS", "", "`llama=gpt-4o-mini,mock`: models that answer where one cannot; several with `;`."),
    ("GATEWAY_REQUEST_TIMEOUT_SECONDS", "10", "Until an engine's first byte, where a route does not say."),
    ("GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES", "5", "Failures in a row that open an endpoint's circuit."),
    ("GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS", "30", "Until one request may try it again."),
    (
        "GATEWAY_MAX_IN_FLIGHT",
        str(MOST_IN_FLIGHT),
        "Requests under way; from half of it on the unimportant get 503.",
    ),
    ("GATEWAY_DRAIN_SECONDS", "0", "From SIGTERM on requests are still taken so long; `/ready` is 503 at once."),
    ("GATEWAY_GRACE_SECONDS", "60", "For answers under way after that; then they are cut off."),
    (
        "GATEWAY_EDGE",
        "`native` where nexus-native is installed, else `wire`",
        "Who reads plain requests, with the same answers: `native`, the gateway, in C where traffic is plain; `wire`,"
        " the gateway in Python; `asgi`, uvicorn and FastAPI, the slowest. `started` in the log says which.",
    ),
    ("GATEWAY_PII_MASKING_ENABLED", "true", "Takes personal data and credentials out of log lines."),
    (
        "GATEWAY_PII_HASH_SALT",
        "new at each start",
        "Salt of principals in the audit log, and of masked names that engines tell callers apart by.",
    ),
    ("GATEWAY_AUDIT_LOGGING_ENABLED", "true", "With `--audit FOLDER`: one chained line for each decision."),
    (
        "GATEWAY_METRICS_TENANTS",
        "false",
        "`true`: `/metrics` names tenants to everybody, not to a key with the scope `admin` alone.",
    ),
    *CONSOLE_VARIABLES,
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "`http://collector:4318`: spans go there. Needs the extra `otlp`."),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "The same with its path: `http://collector:4318/v1/traces`."),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "The only one there is."),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "The same for traces alone."),
)
"""(name, default, meaning) of everything that is read; docs/reference/settings.md is made from it."""


@dataclass(frozen=True)
class Settings:
    api_keys: str | None
    breaker: BreakerSettings
    first_byte_seconds: float
    upstreams: str | None
    route_policies: str | None
    default_upstream: str | None
    fallbacks: str | None
    key_policies: str | None
    requests_per_minute: int
    redis_url: str | None
    limits_fail_open: bool
    redis_deadline_seconds: float
    most_in_flight: int
    drain_seconds: float
    grace_seconds: int
    edge: Edge
    """Who reads plain requests: the gateway itself, in C or in Python, or FastAPI as it reads all others."""
    idempotency: IdempotencySettings
    responses_seconds: float
    """For which it is remembered where a response is."""
    masking: bool
    auditing: bool
    salt: str
    """For principals in the audit log; empty: a new one at each start."""
    names_tenants: bool
    """Whether `/metrics` does to everybody."""
    console: ConsoleSettings

    @property
    def has_routes(self) -> bool:
        return bool(self.given_routes)

    @property
    def given_routes(self) -> list[str]:
        """The variables that a route file would contradict."""
        said = {
            "GATEWAY_UPSTREAMS": self.upstreams,
            "GATEWAY_ROUTE_POLICIES": self.route_policies,
            "GATEWAY_DEFAULT_UPSTREAM": self.default_upstream,
            "GATEWAY_FALLBACKS": self.fallbacks,
            "GATEWAY_API_KEY_POLICIES": self.key_policies,
        }
        return [name for name, value in said.items() if value]


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
        default_upstream=environ.get("GATEWAY_DEFAULT_UPSTREAM") or None,
        fallbacks=environ.get("GATEWAY_FALLBACKS") or None,
        key_policies=environ.get("GATEWAY_API_KEY_POLICIES") or None,
        requests_per_minute=int(_number(environ, "GATEWAY_RATE_LIMIT_PER_MINUTE", 60, whole=True)),
        redis_url=environ.get("GATEWAY_REDIS_URL") or None,
        limits_fail_open=_switch(environ, "GATEWAY_LIMITS_FAIL_OPEN"),
        redis_deadline_seconds=_number(environ, "GATEWAY_REDIS_DEADLINE_SECONDS", 0.05),
        most_in_flight=int(_number(environ, "GATEWAY_MAX_IN_FLIGHT", MOST_IN_FLIGHT, whole=True)),
        drain_seconds=_number(environ, "GATEWAY_DRAIN_SECONDS", 0, least=0),
        grace_seconds=int(_number(environ, "GATEWAY_GRACE_SECONDS", 60, whole=True)),
        edge=_edge(environ),
        idempotency=_idempotency(environ),
        responses_seconds=_number(environ, "GATEWAY_RESPONSES_TTL_SECONDS", KEPT_SECONDS, most=_LONGEST_KEPT),
        masking=_switch(environ, "GATEWAY_PII_MASKING_ENABLED"),
        auditing=_switch(environ, "GATEWAY_AUDIT_LOGGING_ENABLED"),
        salt=environ.get("GATEWAY_PII_HASH_SALT", ""),
        names_tenants=_switch(environ, "GATEWAY_METRICS_TENANTS", False),
        console=read_console_settings(environ, _switch(environ, "GATEWAY_CONSOLE")),
    )


def _edge(environ: Mapping[str, str]) -> Edge:
    text = environ.get("GATEWAY_EDGE") or ("native" if native.is_built() else "wire")
    found = next((edge for edge in EDGES if edge == text), None)
    if found is None:
        raise ConfigRefused(f"GATEWAY_EDGE: {text!r}: write {' or '.join(EDGES)}")
    if found == "native" and not native.is_built():
        raise ConfigRefused("GATEWAY_EDGE: 'native': nexus-native is not installed here: write wire, or install it")
    return found


def _idempotency(environ: Mapping[str, str]) -> IdempotencySettings:
    given = IdempotencySettings()
    lease = _number(environ, "GATEWAY_IDEMPOTENCY_LEASE_SECONDS", given.lease_seconds)
    if environ.get("GATEWAY_REDIS_URL") and lease < SHORTEST_LEASE:
        raise ConfigRefused(
            f"GATEWAY_IDEMPOTENCY_LEASE_SECONDS: {lease:g}: with Redis write {SHORTEST_LEASE:g} or more: a lease would "
            "be over before a slow Redis has extended it"
        )
    return IdempotencySettings(
        ttl_seconds=_number(environ, "GATEWAY_IDEMPOTENCY_TTL_SECONDS", given.ttl_seconds, most=_LONGEST_KEPT),
        largest=int(_number(environ, "GATEWAY_IDEMPOTENCY_LARGEST_BYTES", given.largest, whole=True)),
        total=int(_number(environ, "GATEWAY_IDEMPOTENCY_TOTAL_BYTES", given.total, whole=True)),
        entries=int(_number(environ, "GATEWAY_IDEMPOTENCY_ENTRIES", given.entries, whole=True)),
        lease_seconds=lease,
        fail_open=_switch(environ, "GATEWAY_IDEMPOTENCY_FAIL_OPEN", given.fail_open),
    )


def routes_of_environment(settings: Settings, keys: Keys) -> dict[str, bytes]:
    """The same as a route file would say: each upstream is a model of its own name, unless a policy has that name, and
    each key has its policy, or the one limit of requests that holds for all.

    Raises ConfigRefused.
    """
    upstreams = {name: {"url": url} for name, url in _upstreams(settings.upstreams or "")}
    routes: dict[str, Any] = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    routes |= _object("GATEWAY_ROUTE_POLICIES", settings.route_policies)
    for model, others in _fallbacks(settings.fallbacks or ""):
        _with_fallbacks(routes, model, others, settings.default_upstream)
    everybody = {EVERY_SUBJECT: {"requests_per_minute": settings.requests_per_minute}}
    document: dict[str, Any] = {
        "upstreams": upstreams,
        "routes": routes,
        "policies": _key_policies(settings, keys),
        "subjects": everybody,
    }
    if settings.default_upstream:
        document["default"] = settings.default_upstream
    return {"environment.yaml": json.dumps(document).encode()}


def _fallbacks(text: str) -> list[tuple[str, list[str]]]:
    pairs = []
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        model, _, others = entry.partition("=")
        names = [name.strip() for name in others.split(",") if name.strip()]
        if not model.strip() or not names:
            raise ConfigRefused(f"GATEWAY_FALLBACKS: {entry!r}: write model=other,another, several with `;` between")
        pairs.append((model.strip(), names))
    return pairs


def _with_fallbacks(routes: dict[str, Any], model: str, others: list[str], default: str | None) -> None:
    """A model without a route of its own is answered by the default upstream, as a request for it would be."""
    for name in (model, *others):
        if name not in routes:
            if default is None:
                raise ConfigRefused(f"GATEWAY_FALLBACKS: {name!r} is no model here, and there is no default upstream")
            routes[name] = {"strategy": "direct", "upstream": default}
    if not isinstance(routes[model], dict) or "fallbacks" in routes[model]:
        raise ConfigRefused(f"GATEWAY_FALLBACKS: {model!r}: its policy has fallbacks of its own, or is none")
    routes[model] = {**routes[model], "fallbacks": others}


def _key_policies(settings: Settings, keys: Keys) -> dict[str, Any]:
    """By key id; GATEWAY_API_KEY_POLICIES names the keys themselves."""
    policies: dict[str, Any] = {key.id: {"requests_per_minute": settings.requests_per_minute} for key in keys.values()}
    for raw, given in _object("GATEWAY_API_KEY_POLICIES", settings.key_policies).items():
        key = keys.get(digest(raw.encode()))
        if key is None:
            raise ConfigRefused("GATEWAY_API_KEY_POLICIES: names a key that is not among the keys of this gateway")
        if not isinstance(given, dict) or (unknown := sorted(given.keys() - _POLICY_FIELDS.keys())):
            shown = unknown[0] if isinstance(given, dict) else type(given).__name__
            raise ConfigRefused(
                f"GATEWAY_API_KEY_POLICIES: {key.id}: {shown!r}: write an object of {', '.join(_POLICY_FIELDS)}"
            )
        policies[key.id] |= {_POLICY_FIELDS[name]: value for name, value in given.items()}
    return policies


_POLICY_FIELDS = {
    "allowed_models": "models",
    "rate_limit_per_minute": "requests_per_minute",
    "tokens_per_minute": "tokens_per_minute",
    "max_parallel": "max_parallel",
    "priority": "priority",
    "max_tokens": "max_tokens",
    "passthrough": "passthrough",
    "telemetry": "telemetry",
}
"""A policy's words in the environment -> in route files."""


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


def _object(variable: str, text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ConfigRefused(f"{variable}: no JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ConfigRefused(f"{variable}: write a JSON object")
    return parsed


def _switch(environ: Mapping[str, str], name: str, default: bool = True) -> bool:
    text = environ.get(name, str(default)).strip().lower()
    if text not in _SWITCHES:
        raise ConfigRefused(f"{name}: {text!r}: write true or false")
    return _SWITCHES[text]


_LONGEST_KEPT = 30 * 86_400.0  # seconds; beyond some bound Redis takes no time to keep, and says so at each note alone

_SWITCHES = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    *,
    whole: bool = False,
    least: float | None = None,
    most: float = math.inf,
) -> float:
    """Above 0, or not below `least`; not above `most`."""
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 if least is None else value >= least) or value == math.inf or value > most:
        bound = "above 0" if least is None else f"of {least:g} or more"
        bound += f", {most:g} at most" if most < math.inf else ""
        raise ConfigRefused(f"{name}: {text!r}: write a {'whole number' if whole else 'number of seconds'} {bound}")
    return value
