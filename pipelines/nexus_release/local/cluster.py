"""The laptop's Argo CD and KServe: makes what runs here what a commit says.

`apply` is the story. It is closed for the change and open for traffic: where a commit cannot be brought up whole,
what ran before runs on as it was, `last_problem` says why, and the commit is tried again, ever more slowly.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nexus_release.errors import Missing, NexusError, Unreachable
from nexus_release.local.desired import ENVIRONMENT, Desired, DesiredEngine, read_desired
from nexus_release.local.engines import EngineChoice, engine_program
from nexus_release.local.free_ports import free_port
from nexus_release.local.gateway import KEY, gateway_program, served
from nexus_release.local.kept import Kept
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.paths import Paths
from nexus_release.local.probes import get, requests_in_engine, serves_model
from nexus_release.local.processes import Program, wait_ready
from nexus_release.local.proved import prove_engines
from nexus_release.local.reconcile import plan
from nexus_release.local.routes import drop_other_routes, link_routes, linked_routes, put_resolve, put_routes
from nexus_release.local.shown import keep_shown, show
from nexus_release.local.state import EngineState, LocalState, write_state
from nexus_release.local.waiting import wait_until
from nexus_release.mirror import mirror
from nexus_release.wiring import Tools, health_at

_log = logging.getLogger("nexus.local")

_GATEWAY_SECONDS = 120.0  # until it serves a revision: two on a quiet machine, ten times as long on a loaded one
_REGISTRY_SECONDS = 180.0  # MLflow's first start makes its tables: 10 s on a quiet machine, a minute on a loaded one
_DRAIN_SECONDS = 30.0  # after which requests in an engine that goes are cut off
_QUIET_SECONDS = 0.5  # without a request, before an engine counts as drained: one may be on its way from the gateway


@dataclass(frozen=True)
class Sites:
    """Where things answer. `own_registry` is false where MLFLOW_TRACKING_URI names somebody else's."""

    registry: str
    own_registry: bool
    gateway: str


@dataclass
class Engine:
    kept: Kept
    address: str


class Cluster:
    """`pause` is called in every wait; it sleeps, and raises to break off."""

    def __init__(
        self,
        paths: Paths,
        tools: Tools,
        choice: EngineChoice,
        sites: Sites,
        state: LocalState,
        pause: Callable[[float], None],
    ) -> None:
        self.paths, self.state = paths, state
        self._tools, self._choice, self._sites, self._sleep = tools, choice, sites, pause
        self._gateway = self._kept(gateway_program(paths, _port(sites.gateway)))
        self._registry = (
            self._kept(mlflow_server_program(paths.mlflow, _port(sites.registry))) if sites.own_registry else None
        )
        self._engines: dict[DesiredEngine, Engine] = {}
        self._fresh: dict[DesiredEngine, Engine] = {}
        """Started for the commit that is being applied, and not yet among those that are kept running."""
        self._table: dict[str, str] = {}
        """`host:port` of the routes -> `host:port` here, as the gateway has it."""

    def start(self) -> None:
        """Starts what is needed whatever Git says. The gateway waits for its first routes."""
        if self._registry:
            self._registry.start()
        if not linked_routes(self.paths):
            put_routes(self.paths, "none", {})
        self.note()

    def apply(self, commit: str) -> None:
        """Raises what stands in the way, and then nothing has changed for those who ask."""
        desired = self._read(commit)
        todo = plan(desired.engines, self._engines)
        _log.info("commit %s: %d to start, %d to stop", commit[:12], len(todo.start), len(todo.stop))
        before = linked_routes(self.paths)
        try:
            self._bring_up(todo.start)
            self._shift(desired)
        except BaseException:
            self._shift_back(before)
            raise
        self._engines |= self._fresh
        self._fresh = {}
        self._retire(todo.stop)
        self._trim(desired)
        show(self.paths, commit)
        self._mirror(commit)
        self.note(applied=commit, refused="", last_problem="")
        _log.info("commit %s is applied; the gateway serves %s", commit[:12], desired.revision[:12])

    def tend(self) -> None:
        """Starts again what has died."""
        starting = [engine.kept for engine in self._fresh.values()]  # whose death ends the change, and is not mended
        changed = [kept.tend() for kept in self._all() if kept not in starting]
        if any(changed):
            self.note()

    def head(self) -> str:
        """The commit that main is at."""
        head = self._tools.repository.head()
        if head != self.state.head:
            self.note(head=head, refused="", last_problem="")
        return head

    def healthy(self) -> bool:
        return self._registry_answers() and (self._gateway.process is None or served(self._sites.gateway) is not None)

    def note(self, **changes: object) -> None:
        """Writes the state where it has changed."""
        engines = [_shown(wanted, engine) for wanted, engine in self._engines.items()]
        said = self.state.model_copy(
            update={
                "children": tuple(mark for kept in self._all() for mark in kept.marks),
                "engines": tuple(sorted(engines, key=lambda engine: engine.service)),
                **changes,
            }
        )
        if said != self.state:
            self.state = said
            write_state(self.paths.home, said)

    def stop(self) -> None:
        for kept in self._all():
            kept.stop()
        self._engines.clear()
        self._fresh.clear()
        self.note(ready=False)

    def _read(self, commit: str) -> Desired:
        """What the commit wants, with proof of what it would start."""
        with tempfile.TemporaryDirectory(dir=self.paths.local, prefix=".checkout-") as folder:
            desired = read_desired(Path(folder), self._tools.repository.checkout(Path(folder), commit))
            fresh = plan(desired.engines, self._engines).start
            prove_engines(fresh, Path(folder), self._tools.store, self._tools.signatures)
            keep_shown(self.paths, commit, Path(folder))
            return desired

    def _bring_up(self, engines: Iterable[DesiredEngine]) -> None:
        """Starts all, then waits for each."""
        for wanted in engines:
            checkpoint = self._tools.store.get(wanted.artifact)
            port = free_port()
            kept = self._kept(engine_program(wanted, checkpoint, port, self._choice))
            self._fresh[wanted] = Engine(kept, f"http://127.0.0.1:{port}")
            kept.start()
            self.note()
        for wanted, engine in self._fresh.items():
            ready = partial(serves_model, engine.address, wanted.model)
            wait_ready(engine.kept.running(), ready, self._choice.start_seconds(wanted.runtime), self._pause)

    def _shift(self, desired: Desired) -> None:
        """Addresses of old and new first, then the routes in one step, then the gateway's word that it serves them."""
        put_resolve(self.paths, self._table | _table(desired, self._engines | self._fresh))
        put_routes(self.paths, desired.commit, desired.routes)
        if self._gateway.process is None:
            if not desired.routes:
                return
            self._gateway.start()
            self.note()
            address = self._sites.gateway
            wait_ready(self._gateway.running(), lambda: served(address) is not None, _GATEWAY_SECONDS, self._sleep)
        wait_until(
            partial(self._serves, desired), _GATEWAY_SECONDS, f"the routes of {desired.commit[:12]}", self._pause
        )
        self.note(serving=desired.commit, revision=desired.revision)

    def _serves(self, desired: Desired) -> bool:
        """Raises NexusError where the gateway refuses these very routes."""
        said = served(self._sites.gateway)
        if said and said.refused == desired.revision:
            raise NexusError(f"the gateway refuses the routes of {desired.commit[:12]}: {said.reason}")
        return said is not None and said.revision == desired.revision

    def _shift_back(self, before: str) -> None:
        put_resolve(self.paths, self._table)
        link_routes(self.paths, before)
        if not self.state.revision:
            self._gateway.stop()  # it has never served: it would only be started again and again on nothing
        _stop(self._fresh.values())
        self._fresh = {}

    def _retire(self, engines: Iterable[DesiredEngine]) -> None:
        """No route names them any more; what they still answer is waited for, within a bound."""
        gone = [self._engines[wanted] for wanted in engines]
        for engine in gone:
            try:
                wait_until(_drained(engine.address), _DRAIN_SECONDS, pause=self._pause)
            except NexusError:
                _log.warning(
                    "%s still had requests after %g s; it is stopped", engine.kept.program.name, _DRAIN_SECONDS
                )
        for wanted in engines:
            del self._engines[wanted]
        _stop(gone)

    def _trim(self, desired: Desired) -> None:
        self._table = _table(desired, self._engines)
        put_resolve(self.paths, self._table)
        drop_other_routes(self.paths)

    def _mirror(self, commit: str) -> None:
        """The registry's aliases follow main; they decide nothing. Where an earlier commit is brought up again after a
        restart, main names something else by now, and what it names waits until it is brought up itself."""
        wait_until(self._registry_answers, _REGISTRY_SECONDS, "the registry", self._pause)
        health = health_at(self._sites.gateway, KEY, self.paths.resolve)
        found = mirror(self._tools.repository, self._tools.registry, health, ENVIRONMENT)
        if found.commit != commit:
            return
        if refused := found.which("refused"):
            raise Missing(f"{refused[0].model}: the registry's alias {refused[0].alias}: {refused[0].because}")
        if waits := found.which("waits"):
            raise Unreachable(f"{waits[0].model}: the registry's alias {waits[0].alias} waits: {waits[0].because}")

    def _registry_answers(self) -> bool:
        return self._registry is None or get(f"{self._sites.registry}/health") is not None

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds)
        self.tend()

    def _all(self) -> list[Kept]:
        """In the order in which they stop: the gateway first, so that nobody is sent to an engine that is gone."""
        engines = [engine.kept for engine in (*self._engines.values(), *self._fresh.values())]
        return [self._gateway, *engines, *([self._registry] if self._registry else [])]

    def _kept(self, program: Program) -> Kept:
        return Kept(program, self.paths.logs / f"{program.name}.log")


def _table(desired: Desired, engines: dict[DesiredEngine, Engine]) -> dict[str, str]:
    """Only for what the commit both runs and routes to; engines that go keep no address."""
    addresses = {wanted.service: engines[wanted].address for wanted in desired.engines}
    return {
        host: addresses[service].removeprefix("http://")
        for service, host in desired.hosts.items()
        if service in addresses
    }


def _drained(address: str) -> Callable[[], bool]:
    """True after a while without requests; an engine that does not answer has none."""
    busy = time.monotonic()

    def quiet() -> bool:
        nonlocal busy
        if requests_in_engine(address):
            busy = time.monotonic()
        return time.monotonic() - busy >= _QUIET_SECONDS

    return quiet


def _shown(wanted: DesiredEngine, engine: Engine) -> EngineState:
    return EngineState(
        service=wanted.service,
        model=wanted.model,
        release=wanted.release,
        artifact=wanted.artifact,
        address=engine.address,
        pid=engine.kept.pid,
    )


def _stop(engines: Iterable[Engine]) -> None:
    for engine in engines:
        engine.kept.stop()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
