"""A remote, a store and releases for the laptop's cluster, and the cluster itself in this process."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus_release.frozen import Artifact
from nexus_release.local.cluster import Cluster, Sites
from nexus_release.local.engines import EngineChoice
from nexus_release.local.free_ports import free_port
from nexus_release.local.paths import Paths
from nexus_release.local.processes import started_at
from nexus_release.local.state import LocalState, Mark
from nexus_release.plan import Plan, Pointer
from nexus_release.ports import RegisteredVersion, RegistryCopy, RegistryEntry, TaggedVersion
from nexus_release.record import Content, read_record
from nexus_release.trust.signed import sign_release
from nexus_release.wiring import Connections, Tools

from .releases import make_record, plant_environments, plant_plan, plant_record

MODEL = "pydoc-chat"
_SECONDS = 30.0
_GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


class Laptop:
    """`home` as `.nexus` has it, and a clone in which the tests commit."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.home, self.clone = folder / "home", folder / "clone"
        self.remote = self.home / "remote.git"
        self.home.mkdir()
        self.connections = Connections(work=self.home.as_uri(), registry=registry, remote=str(self.remote))
        self.tools = Tools(self.connections)
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", self.remote], check=True)
        subprocess.run(["git", "init", "--quiet", "-b", "main", self.clone], check=True)
        plant_environments(self.clone)
        self.commit("settings")

    def release(self, seed: int) -> Pointer:
        """A record, planted in the clone, whose artifact is in the store and signed by the machine's own key."""
        content = self.content(seed)
        sign_release(content, self.tools.store, self.tools.signatures, self.tools.signer)
        return plant_record(self.clone, make_record(MODEL, seed).model_copy(update={"content": content}))

    def content(self, seed: int) -> Content:
        return make_record(MODEL, seed).content.model_copy(
            update={
                "artifact": self._put(f"checkpoint-{seed}", "config.json", seed),
                "bill_of_materials": self._put(f"bill-{seed}", "bom.cdx.json", seed).digest,
            }
        )

    def _put(self, folder: str, file: str, seed: int) -> Artifact:
        place = self.clone.parent / folder
        place.mkdir(exist_ok=True)
        (place / file).write_text(f'{{"seed": {seed}}}')
        return self.tools.store.put(place)

    def plan(self, plan: Plan) -> str:
        """Commits the plan and what is rendered from it; returns the commit."""
        plant_plan(self.clone, "local", plan)
        return self.commit("plan")

    def commit(self, message: str) -> str:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", message)
        self._git("push", "--quiet", str(self.remote), "HEAD:refs/heads/main")
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        done = subprocess.run([*_GIT, *words], cwd=self.clone, check=True, capture_output=True, text=True)
        return done.stdout.strip()


class NotedRegistry:
    """Knows a version for every release, in the order in which it is asked, and notes what is done to aliases."""

    def __init__(self, records: Path = Path()) -> None:
        """`records` is the tree whose records say which artifact a version has."""
        self.records = records
        self.versions: dict[str, int] = {}
        self.pointed: dict[tuple[str, str], int] = {}
        self.trouble: Exception | None = None

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        raise AssertionError("the cluster registers nothing")

    def find(self, model: str, release: str) -> RegisteredVersion | None:
        version = self.versions.setdefault(release, len(self.versions) + 1)
        return RegisteredVersion(version=version, run="run", uri=f"models:/{model}/{version}", logged_model="m-1")

    def copy(self, model: str, release: str) -> RegistryCopy | None:
        raise AssertionError("the cluster proves nothing")

    def tagged(self, model: str, version: int) -> TaggedVersion | None:
        release = next((release for release, number in self.versions.items() if number == version), None)
        if release is None:
            return None
        artifact = read_record(self.records, model, release).content.artifact.digest
        return TaggedVersion(version=version, release=release, artifact=artifact, commit="")

    def link(self, model: str, version: int, commit: str) -> None:
        """Noted nowhere."""

    def aliases(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for (model, alias), version in self.pointed.items():
            found.setdefault(model, {})[alias] = version
        return found

    def set_alias(self, model: str, alias: str, version: int) -> None:
        if self.trouble:
            raise self.trouble
        self.pointed[model, alias] = version

    def drop_alias(self, model: str, alias: str) -> None:
        if self.trouble:
            raise self.trouble
        self.pointed.pop((model, alias), None)


@contextmanager
def cluster_of(laptop: Laptop, registry: NotedRegistry, engine: str = "mock") -> Iterator[Cluster]:
    """Real engines and a real gateway; what it started has ended with the block."""
    laptop.tools.__dict__["registry"] = registry  # in place of MLflow, which has tests of its own
    paths = Paths(laptop.home)
    paths.local.mkdir(exist_ok=True)
    sites = Sites(registry="http://127.0.0.1:9", own_registry=False, gateway=f"http://127.0.0.1:{free_port()}")
    state = LocalState(
        supervisor=Mark(name="test", pid=os.getpid(), started=started_at(os.getpid()) or ""),
        registry=sites.registry,
        gateway=sites.gateway,
        remote=str(laptop.remote),
    )
    choice = EngineChoice(engine, laptop.home / "no-vllm-here")
    cluster = Cluster(paths, laptop.tools, choice, sites, state, time.sleep)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def ask(gateway: str, path: str = "/v1/chat/completions") -> str:
    """The release that answers, in chat completions or in Anthropic's Messages."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2})
    connection = http.client.HTTPConnection(gateway.removeprefix("http://"), timeout=_SECONDS)
    try:
        headers = {"Authorization": "Bearer dev-key", "Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return answer.headers["x-nexus-release"]
    finally:
        connection.close()
