"""What LiteLLM's file says of the process, rather than of models: keys, Redis, breakers, how much at once."""

from __future__ import annotations

from typing import Any

from nexus_gateway.importing.deployments import Everywhere
from nexus_gateway.importing.groups import Patience
from nexus_gateway.importing.litellm_file import FROM_ENVIRONMENT, LitellmFile
from nexus_gateway.importing.report import Ledger, Path
from nexus_gateway.importing.values import first, number
from nexus_gateway.keys import digest

_SHORT_KEY = 32  # characters; a digest of less is undone by trying
_CHECK_SECONDS = 300.0  # between two background health checks of LiteLLM, where it does not say


def everywhere_of(file: LitellmFile, ledger: Ledger) -> Everywhere:
    router, general = file.router_settings, file.general_settings
    parallel = first(
        file,
        ledger,
        [
            (("router_settings", "default_max_parallel_requests"), router.default_max_parallel_requests),
            (("general_settings", "max_parallel_requests"), general.max_parallel_requests),
        ],
        "max_parallel of each upstream",
    )
    if general.background_health_checks is not True:
        return Everywhere(parallel, None)
    at = ("general_settings", "health_check_interval")
    seconds = number(file, ledger, at, general.health_check_interval, "health.interval_seconds of vLLM's upstreams")
    ledger.tell(
        "differs",
        ("general_settings", "background_health_checks"),
        "asks each engine for an answer, and tells",
        "upstreams of hosted_vllm/ are asked for /health, and left alone while unwell; others have no check",
    )
    return Everywhere(parallel, min(seconds or _CHECK_SECONDS, 86_400.0))


def patience_of(file: LitellmFile, ledger: Ledger) -> Patience:
    router, other = file.router_settings, file.litellm_settings
    whole: list[tuple[Path, float | str | None]] = [
        (("router_settings", "timeout"), router.timeout),
        (("litellm_settings", "request_timeout"), other.request_timeout),
    ]
    patience = Patience(
        timeout=first(file, ledger, whole, "timeouts.first_byte_seconds of the routes"),
        stream_timeout=number(
            file,
            ledger,
            ("router_settings", "stream_timeout"),
            router.stream_timeout,
            "timeouts.chunk_seconds of the routes",
        ),
        retries=first(file, ledger, _both(file, "num_retries"), "tries of the routes"),
    )
    for path, value in [*whole, (("router_settings", "stream_timeout"), router.stream_timeout)]:
        if value is not None:
            ledger.tell(
                "differs",
                path,
                "is the time for an answer, or for each piece of a stream",
                "first_byte_seconds is until an answer begins, chunk_seconds between pieces of a stream",
            )
    for path, value in _both(file, "num_retries"):
        if value is not None:
            ledger.tell(
                "differs",
                path,
                "asks the same model again, and then as often each fallback",
                "`tries` is for all together, and no endpoint is asked twice for one request",
            )
    return patience


def settings_of(file: LitellmFile, ledger: Ledger) -> None:
    """Names the variables to set."""
    fails = first(file, ledger, _both(file, "allowed_fails"), "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES")
    rest = first(file, ledger, _both(file, "cooldown_time"), "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS")
    at_once = number(
        file,
        ledger,
        ("general_settings", "global_max_parallel_requests"),
        file.general_settings.global_max_parallel_requests,
        "GATEWAY_MAX_IN_FLIGHT",
    )
    if fails is not None:
        ledger.needs("GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES", str(int(fails) + 1), "how many failures open a circuit")
        for path, value in _both(file, "allowed_fails"):
            if value is not None:
                ledger.tell("differs", path, "counts failures of a minute", "counts failures in a row")
    if rest:
        ledger.needs("GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS", f"{rest:g}", "how long an endpoint is left alone")
    if at_once:
        ledger.needs("GATEWAY_MAX_IN_FLIGHT", str(max(1, int(at_once))), "requests under way in this process")
    _redis(file, ledger)


def key_file_of(file: LitellmFile, ledger: Ledger) -> dict[str, Any] | None:
    """The master key as an entry of a key file, which holds its digest alone."""
    key, at = file.general_settings.master_key, ("general_settings", "master_key")
    if not key:
        return None
    if key.startswith(FROM_ENVIRONMENT):
        ledger.tell(
            "no counterpart",
            at,
            "reads the key of administrators from its environment",
            "make one: nexus-gateway keys new --id master --admin > keys.yaml",
        )
        return None
    ledger.take(at, "keys.yaml, as a digest")
    if len(key) < _SHORT_KEY:
        ledger.tell(
            "differs",
            at,
            "takes any key",
            "it is short, so that its digest is easily undone: make a new one "
            "with nexus-gateway keys new --id master --admin",
        )
    return {"keys": [{"id": "master", "digest": f"sha256:{digest(key.encode()).hex()}", "scopes": ["admin"]}]}


def _redis(file: LitellmFile, ledger: Ledger) -> None:
    router = file.router_settings
    names = ("redis_url", "redis_host", "redis_port", "redis_password", "redis_db")
    given: dict[str, str] = {name: value for name in names if (value := getattr(router, name))}
    if not given:
        return
    for name in given:
        ledger.take(("router_settings", name), "GATEWAY_REDIS_URL")
    secret = "redis_url" in given or "redis_password" in given
    elsewhere = any(value.startswith(FROM_ENVIRONMENT) for value in given.values())
    host, port = given.get("redis_host", "localhost"), given.get("redis_port", "6379")
    url = None if secret or elsewhere else f"redis://{host}:{port}/{given.get('redis_db', '0')}"
    ledger.needs("GATEWAY_REDIS_URL", url, "limits that all gateways count together: redis://:password@host:port/0")
    ledger.tell(
        "differs",
        ("router_settings", next(iter(given))),
        "shares usage and cooldowns of deployments",
        "shares the limits of callers; breakers are each process's own",
    )


def _both(file: LitellmFile, key: str) -> list[tuple[Path, float | str | None]]:
    """Of the section that counts, then of the other."""
    sections = (("router_settings", file.router_settings), ("litellm_settings", file.litellm_settings))
    return [((name, key), getattr(section, key)) for name, section in sections]
