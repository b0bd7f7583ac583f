"""A gateway from its start to its end: where its parts are put together."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from nexus_gateway.app import create_app
from nexus_gateway.auth import Credentials
from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.decisions.decision_log import DecisionLog
from nexus_gateway.garbage_collection import settle
from nexus_gateway.gateway import Gateway
from nexus_gateway.idempotency.memory import MemoryStore
from nexus_gateway.idempotency.store import Store
from nexus_gateway.idempotency.under_way import UnderWay
from nexus_gateway.kept_responses.memory import MemoryPlaces
from nexus_gateway.kept_responses.place import Places
from nexus_gateway.key_ring import KeyRing, KeyWatcher
from nexus_gateway.keys import DEV_KEY, Keys, digest, keys_of_environment, read_keys
from nexus_gateway.limits.limiter import Limiter
from nexus_gateway.limits.memory import MemoryLimiter
from nexus_gateway.ports import Ports
from nexus_gateway.served import Served, Watcher, first
from nexus_gateway.server import make_server
from nexus_gateway.service_names import ServiceNames
from nexus_gateway.settings import Settings, read_settings, routes_of_environment
from nexus_gateway.siblings import Siblings
from nexus_gateway.snapshot import Source, build, read_resolve
from nexus_gateway.start import Start, Worker, listen
from nexus_gateway.supervisor import end_with_parent, supervise
from nexus_gateway.telemetry.audit import AuditLog
from nexus_gateway.telemetry.batches import BatchWriter
from nexus_gateway.telemetry.collector import spans_of_environment
from nexus_gateway.telemetry.logs import LogWriter, event_line
from nexus_gateway.telemetry.metrics import Metrics
from nexus_gateway.telemetry.record import RequestRecord
from nexus_gateway.tokens.settings import TokenSettings, read_token_settings

if TYPE_CHECKING:
    from nexus_gateway.placing.memory import PlacementMemory
    from nexus_gateway.tokens.jwks import Jwks
    from nexus_gateway.tokens.verify import TokenVerifier


def run(start: Start) -> int:
    """The exit status, after SIGTERM or SIGINT, when all answers are out. Raises ConfigRefused."""
    if start.workers == 1:
        serve(start, None, None)
        return 0
    settings = read_settings(start.environ)  # what is wrong is told once, and not by each process
    _configured(start, settings, _keys(settings, start.keys, start.host), ServiceNames())
    return supervise(start, serve)


def serve(start: Start, sockets: Sequence[socket.socket] | None, worker: Worker | None) -> None:
    """One process from its start to its end; `worker` where it is one of several. `sockets`: None where it opens its
    own, once it knows that it has something to serve. Raises ConfigRefused."""
    settings = read_settings(start.environ)
    known = _keys(settings, start.keys, start.host)
    names = ServiceNames()
    source, served, tokens = _configured(start, settings, known, names)
    listening = listen(start) if sockets is None else sockets
    names.wanted = lambda: served.current.table.services
    logs = LogWriter(sys.stdout, masking=settings.masking, lock=worker.log_lock if worker else None)
    salt = settings.salt.encode() or secrets.token_bytes(32)
    audited = _audit(settings, start.audit, salt)
    jwks = _jwks(tokens)
    spans = _spans(start.environ, logs)
    ring = KeyRing(known)
    credentials = Credentials(ring, _verifier(tokens, jwks))
    limiter = _limiter(settings, logs)
    under_way = UnderWay(_answers(settings, logs), settings.idempotency)
    gateway = Gateway(
        served,
        credentials,
        settings.breaker,
        logs,
        audited,
        limiter,
        jwks,
        settings.most_in_flight,
        spans,
        under_way,
        _places(settings, logs),
        salt,
    )
    gateway.names = names
    gateway.placement_memory = _placement_memory(settings, logs, gateway.metrics)
    decided = gateway.decisions = DecisionLog(start.decisions) if start.decisions else None
    if worker is not None:
        end_with_parent()
        gateway.siblings = Siblings(worker, gateway.told, lambda scraped: gateway.metrics.figures(scraped=scraped))

    def tell(message: str, reason: str) -> None:
        logs.write(event_line(message, "error", reason=reason) if reason else event_line(message))

    watchers: list[Watcher | KeyWatcher | ServiceNames] = [KeyWatcher(start.keys, ring, tell)] if start.keys else []
    watchers.append(names)
    if source is not None:
        state = start.state if worker is None or worker.number == 0 else None  # one of them keeps it for all
        watchers.append(Watcher(source, served, state, changed=gateway.forget_soon, tell=tell))
    own_port = start.admin_port is not None  # of operators, where alone figures are then
    app: ASGIApp = create_app(gateway, settings.console, names_tenants=settings.names_tenants or own_port)
    if start.admin_port is not None:
        app = Ports(app, start.admin_port)
    server = make_server(app, gateway, settings, start.admin_port)
    writers = [writer for writer in (audited, decided, spans) if writer is not None]
    logs.start()
    _greet(logs, start, settings, served, known)
    for part in (*writers, *watchers):
        part.start()
    if audited is not None and audited.problem:
        tell("audit log cannot be written; requests are answered without it", audited.problem)
    if decided is not None and decided.problem:
        tell("decision log cannot be written; requests are answered without it", decided.problem)
    settle()
    try:
        server.run(sockets=list(listening))
    finally:
        for part in (*watchers, *writers):
            part.stop()
        lost = limiter.lost
        logs.write(event_line("stopped", corrections_lost=lost) if lost else event_line("stopped"))
        logs.stop()


def _configured(
    start: Start, settings: Settings, keys: Keys, names: ServiceNames
) -> tuple[Source | None, Served, TokenSettings | None]:
    source = None
    if start.routes:
        first_byte = settings.first_byte_seconds
        source = Source(start.routes, start.resolve, first_byte, start.environ, lambda: names.addresses)
    return source, _served(settings, keys, source, start.resolve, start.state), read_token_settings(start.environ)


def _jwks(tokens: TokenSettings | None) -> Jwks | None:
    if tokens is None or tokens.jwks_url is None:
        return None
    from nexus_gateway.tokens.fetch import http_fetch
    from nexus_gateway.tokens.jwks import Jwks

    return Jwks(tokens.jwks_url, http_fetch())


def _verifier(tokens: TokenSettings | None, jwks: Jwks | None) -> TokenVerifier | None:
    if tokens is None:
        return None
    from nexus_gateway.tokens.verify import TokenVerifier  # `cryptography` is 9 MiB, for who takes tokens

    return TokenVerifier(tokens, jwks)


def _limiter(settings: Settings, logs: LogWriter) -> Limiter:
    if settings.redis_url is None:
        return MemoryLimiter()
    from nexus_gateway.limits.shared import RedisLimiter  # redis-py is 8 MiB, for who counts in Redis

    def changed(up: bool, reason: str) -> None:
        if up:
            logs.write(event_line("limits are counted in Redis again"))
        else:
            logs.write(event_line("Redis does not answer; limits are counted here alone", "error", reason=reason))

    try:
        return RedisLimiter(
            settings.redis_url,
            changed,
            fail_open=settings.limits_fail_open,
            deadline=settings.redis_deadline_seconds,
        )
    except ValueError as error:  # the URL may hold a password, which redis's own message leaves out
        raise ConfigRefused(f"GATEWAY_REDIS_URL: {error}") from None


def _answers(settings: Settings, logs: LogWriter) -> Store:
    """Where answers are kept for idempotency keys."""
    if settings.redis_url is None:
        return MemoryStore(settings.idempotency)
    from nexus_gateway.idempotency.shared import SharedStore  # as above

    instead = "answers are kept here alone" if settings.idempotency.fail_open else "requests with a key are refused"

    def changed(up: bool, reason: str) -> None:
        if up:
            logs.write(event_line("idempotency keys are held in Redis again"))
        else:
            logs.write(event_line(f"Redis does not answer for idempotency keys; {instead}", "error", reason=reason))

    return SharedStore(settings.redis_url, settings.idempotency, changed)


def _places(settings: Settings, logs: LogWriter) -> Places:
    """Where it is remembered which engine keeps a response."""
    if settings.redis_url is None:
        return MemoryPlaces(settings.responses_seconds)
    from nexus_gateway.kept_responses.shared import SharedPlaces  # as above

    def changed(up: bool, reason: str) -> None:
        if up:
            logs.write(event_line("kept responses are noted in Redis again"))
        else:
            message = "Redis does not answer for kept responses; only those of this process are found"
            logs.write(event_line(message, "error", reason=reason))

    return SharedPlaces(settings.redis_url, settings.responses_seconds, changed)


def _placement_memory(settings: Settings, logs: LogWriter, metrics: Metrics) -> PlacementMemory | None:
    """For routes with `memory_seconds`; the others never ask it."""
    if settings.redis_url is None:
        return None
    from nexus_gateway.placing.memory import PlacementMemory  # as above

    def changed(up: bool, reason: str) -> None:
        if up:
            logs.write(event_line("placements are remembered in Redis again"))
        else:
            message = "Redis does not answer for placements; prompts are placed without memory"
            logs.write(event_line(message, "warning", reason=reason))

    return PlacementMemory(
        settings.redis_url,
        changed,
        recalls=lambda outcome: metrics.recalls.add((outcome,)),
        notes=lambda outcome: metrics.notes.add((outcome,)),
    )


def _spans(environ: Mapping[str, str], logs: LogWriter) -> BatchWriter[RequestRecord] | None:
    """Raises ConfigRefused."""

    def changed(arrive: bool, reason: str) -> None:
        if arrive:
            logs.write(event_line("spans are taken by the collector again"))
        else:
            logs.write(event_line("the collector takes no spans; they are lost", "error", reason=reason))

    return spans_of_environment(environ, changed)


def _audit(settings: Settings, folder: Path | None, salt: bytes) -> AuditLog | None:
    """Open: where it cannot be written, requests are answered, and what is lost is counted."""
    if folder is None or not settings.auditing:
        return None
    return AuditLog(folder, salt, "nexus-gateway")


def _keys(settings: Settings, file: Path | None, host: str) -> Keys:
    if file and settings.api_keys is not None:
        raise ConfigRefused("--keys and GATEWAY_API_KEYS both give keys: unset one of them")
    return read_keys(file) if file else keys_of_environment(settings.api_keys, host)


def _served(settings: Settings, keys: Keys, source: Source | None, resolve: Path | None, state: Path | None) -> Served:
    if source is None:
        if not settings.has_routes:
            raise ConfigRefused("no routes: give --routes FILE|FOLDER, or GATEWAY_UPSTREAMS")
        files = routes_of_environment(settings, keys)
        return Served(build(files, read_resolve(resolve), settings.first_byte_seconds))
    if settings.given_routes:
        raise ConfigRefused(f"--routes and {settings.given_routes[0]} both give routes and policies: unset one of them")
    return first(source, state)


def _greet(logs: LogWriter, start: Start, settings: Settings, served: Served, keys: Keys) -> None:
    now = served.current
    logs.write(event_line("started", revision=now.revision, routes=sorted(now.table.routes), edge=settings.edge))
    if digest(DEV_KEY.encode()) in keys:
        logs.write(event_line("the key dev-key is open to everybody on this machine", "warning"))
    if served.refused:
        logs.write(event_line("configuration refused; the last good one serves", "error", reason=served.refused.reason))
    if start.workers > 1 and settings.redis_url is None:
        kept = "limits and idempotency keys hold" if _limited(served) else "idempotency keys hold"
        told = f"{kept} for each of {start.workers} workers alone; set GATEWAY_REDIS_URL for all together"
        logs.write(event_line(told, "warning"))


def _limited(served: Served) -> bool:
    table = served.current.table
    policies = (*table.policies.values(), *table.subjects.values())
    return any(policy.requests_per_minute or policy.tokens_per_minute for policy in policies)
