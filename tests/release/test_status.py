"""`nexus status`: real gateways, registry and remote, and a double of Argo CD's API; each disagreement is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_release.adapters.argocd import ArgoCd
from nexus_release.aliases import Standing
from nexus_release.config import environment_names
from nexus_release.convergence.seen import Replica as SeenReplica
from nexus_release.convergence.seen import Worker
from nexus_release.convergence.status import EnvironmentStatus, SeenEngine, SeenPart, disagreements
from nexus_release.errors import BadInput, NexusError, Unreachable
from nexus_release.names import model_slug, service_name
from nexus_release.plan import admitted, shifted

from ..support.argocd import TOKEN, ArgoCdDouble, application, argocd, service
from ..support.command import Nexus
from ..support.gateway import until
from ..support.mirrored import Mirrored
from ..support.replicas import Replica, replicas
from ..support.repository import ROOT

MODEL, ENVIRONMENT = "status-chat", "staging"
NOW, BEFORE = "1" * 64, "0" * 64


@pytest.fixture
def argo() -> Iterator[ArgoCdDouble]:
    with argocd() as double:
        yield double


WELL = EnvironmentStatus(
    environment="prod",
    main="c" * 40,
    commit="c" * 40,
    revision=NOW,
    services=("s",),
    applied=(SeenPart(by="Application p", folder="gitops/prod/m", commit="c" * 40, services=("s",), current=True),),
    replicas=(SeenReplica(address="http://a", workers=(Worker(pid=1, revision=NOW),)),),
    commits={NOW: "c" * 40},
    engines=(SeenEngine(service="s", model="m", release="r" * 64, url="http://s", answers=True),),
    aliases=(Standing(model="m", alias="prod", state="holds", version=2, points_at=2),),
)


def told(**change: object) -> list[str]:
    return disagreements(WELL.model_copy(update=change))


def part(**change: object) -> dict[str, object]:
    return {"applied": (WELL.applied[0].model_copy(update={"mend": "sync it", **change}),)}


def replica(*workers: Worker, problem: str = "") -> dict[str, object]:
    return {"replicas": (SeenReplica(address="http://a", workers=workers, problem=problem),)}


def test_nothing_disagrees_where_all_say_the_same() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"failed": ("nothing runs here: run `nexus up`",)}, "prod: nothing runs here"),
        (part(current=False, commit="d" * 40), "Application p has applied dddddddddddd of gitops/prod/m; sync it"),
        (part(current=False, commit=""), "has applied nothing of gitops/prod/m"),
        (part(problem="an engine died"), "prod: Application p: an engine died; sync it"),
        (part(services=()), "s is in Git and does not run; sync it"),
        (part(services=("s", "t")), "t runs and no route of main names it; sync it"),
        (replica(problem="it is down"), "the gateway at http://a: it is down"),
        (replica(Worker(pid=1, revision=BEFORE)), "serves revision 000000000000 which is of no commit of main"),
        (replica(Worker(pid=1, revision=NOW), Worker(pid=2, revision=BEFORE)), "http://a (worker 2) serves"),
        (replica(Worker(pid=1, revision=BEFORE, refused=NOW, reason="why")), "it refuses main's: why; mend the route"),
        ({"engines": (WELL.engines[0].model_copy(update={"answers": False}),)}, "s does not answer at http://s"),
        ({"aliases": (Standing(model="m", alias="prod", state="behind", detail="it is version 2"),)}, "version 2"),
    ],
)
def test_each_disagreement_is_one_sentence(change: dict[str, object], said: str) -> None:
    (sentence,) = told(**change)
    assert said in sentence


def test_a_revision_of_an_earlier_commit_is_said_with_it() -> None:
    (sentence,) = told(**replica(Worker(pid=1, revision=BEFORE)), commits={BEFORE: "b" * 40})
    assert "serves revision 000000000000 of commit bbbbbbbbbbbb, main has 111111111111" in sentence


class World:
    """One model in staging: on main, in the registry, and in what Argo CD says."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.mirrored = Mirrored(folder, registry, MODEL)
        self.remote = self.mirrored.remote
        self.first = self.mirrored.release(1)
        self.plan = admitted(None, MODEL, self.first)
        self.commit = self.remote.plan(self.plan, environment=ENVIRONMENT)

    def applications(self, commit: str, **changes: Any) -> list[dict[str, Any]]:
        top, slug = f"gitops/{ENVIRONMENT}", model_slug(MODEL)
        running = {"resources": [service(service_name(MODEL, self.first.release))], **changes}
        return [
            application("staging-gateway", f"{top}/gateway", commit),
            application(f"staging-{slug}", f"{top}/{slug}", commit, **running),
            application("prod-gateway", "gitops/prod/gateway", "f" * 40),
        ]


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str) -> World:
    return World(tmp_path, mlflow_server)


@pytest.fixture
def two(world: World, tmp_path: Path) -> Iterator[list[Replica]]:
    with replicas(tmp_path, world.remote, ENVIRONMENT) as found:
        yield found


@pytest.fixture
def nexus(
    world: World,
    argo: ArgoCdDouble,
    tmp_path: Path,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Nexus:
    for name, value in {
        "NEXUS_STATE": str(tmp_path / "state"),
        "NEXUS_REMOTE": str(world.remote.path),
        "MLFLOW_TRACKING_URI": mlflow_server,
        "NEXUS_GATEWAY_KEY": "dev-key",
        "ARGOCD_SERVER": argo.url,
        "ARGOCD_AUTH_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    return Nexus(monkeypatch, capsys)


@pytest.mark.services
def test_git_argo_cd_every_replica_and_the_registry_are_held_against_each_other(
    world: World, two: list[Replica], argo: ArgoCdDouble, nexus: Nexus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_GATEWAY", ",".join(one.url for one in two))
    argo.applications = world.applications(world.commit)
    world.mirrored.registry.set_alias(MODEL, ENVIRONMENT, 1)
    well = nexus("status", "--env", ENVIRONMENT, "--strict")
    assert (well.status, well.err) == (0, "")
    assert f"main      {world.commit}" in well.out
    assert f"applied   {world.commit[:12]}  gitops/staging/gateway  Application staging-gateway" in well.out
    for one in two:
        assert f"{one.url}  worker {one.gateway.process.pid}  revision {one.served().pop()[:12]} of" in well.out
    assert f"{MODEL}@staging: version 1 (Git: 1)" in well.out

    second = world.mirrored.release(2)
    canary = shifted(admitted(world.plan, MODEL, second), second.release, 20)
    commit = world.remote.plan(canary, environment=ENVIRONMENT)
    argo.applications = world.applications(world.commit)
    two[0].follow()
    until(lambda: two[0].served() != two[1].served(), "the first has followed")
    seen = nexus("status", "--env", ENVIRONMENT, "--json")
    assert seen.status == 1
    document = json.loads(seen.out)
    (environment,) = document["environments"]
    assert (environment["main"], environment["commit"]) == (commit, commit)
    old = world.commit[:12]
    for said in (
        f"main is at {commit[:12]}, Application staging-gateway has applied {old} of gitops/staging/gateway; `argocd",
        f"{service_name(MODEL, second.release)} is in Git and does not run",
        f"{two[1].url} serves revision {two[1].served().pop()[:12]} of commit {old}",
        "the registry's alias staging-canary: Git's canary release",
    ):
        assert any(said in sentence for sentence in document["disagreements"]), (said, document["disagreements"])
    assert not any(two[0].url in sentence for sentence in document["disagreements"])


@pytest.mark.services
def test_a_commit_that_changes_nothing_of_a_folder_leaves_its_application_current(
    world: World, argo: ArgoCdDouble, nexus: Nexus
) -> None:
    argo.applications = world.applications(world.commit)
    world.mirrored.registry.set_alias(MODEL, ENVIRONMENT, 1)
    world.remote.commit({"README.md": "more\n"})
    seen = nexus("status", "--env", ENVIRONMENT)
    assert seen.status == 0
    assert "what its gateway serves: none is named" in seen.err
    assert nexus("status", "--env", ENVIRONMENT, "--strict").status == 1, "what is unknown is no agreement"


@pytest.mark.services
def test_all_environments_are_asked_by_a_file_and_one_variable_stands_for_none_of_them(
    world: World, two: list[Replica], nexus: Nexus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARGOCD_SERVER")
    monkeypatch.setenv("NEXUS_GATEWAY", two[0].url)
    monkeypatch.setenv("STAGING_KEY", "dev-key")
    world.mirrored.registry.set_alias(MODEL, ENVIRONMENT, 1)
    file = tmp_path / "gateways.yaml"
    file.write_text(f"staging:\n  url: {two[1].url}\n  key: STAGING_KEY\n")
    seen = nexus("status", "--all", "--gateways", str(file), "--json")
    document = json.loads(seen.out)
    assert seen.status == 1
    assert document["disagreements"] == ["local: nothing runs here: run `nexus up`"]
    found = {one["environment"]: one for one in document["environments"]}
    assert tuple(sorted(found)) == environment_names(ROOT)
    assert [one["address"] for one in found["staging"]["replicas"]] == [two[1].url]
    assert found["dev"]["replicas"] == []
    assert "dev: what its gateway serves: none is named" in " ".join(document["unknown"])
    assert "staging: what was applied: no Argo CD is named" in " ".join(document["unknown"])

    for text, said in (
        ("staging: {url: http://a, key: 'the-key-itself'}\n", "staging.key"),
        ("staging: {url: http://a, colour: red}\n", "staging.colour"),
    ):
        file.write_text(text)
        refused = nexus("status", "--all", "--gateways", str(file))
        assert (refused.status, said in refused.err) == (2, True), refused.err


def test_what_argo_cd_says_is_wrong_is_said_once(argo: ArgoCdDouble) -> None:
    folder, commit = "gitops/prod/m", "c" * 40
    failed = {"phase": "Failed", "message": "one or more\nhooks failed", "syncResult": {"revision": commit}}
    for status, applied, said in (
        ({}, commit, ""),
        ({"sync": {"status": "OutOfSync", "revision": "d" * 40}}, commit, "not as its commit says: OutOfSync"),
        ({"sync": {"status": "OutOfSync"}, "operationState": failed}, "", "its last sync failed: one or more\\nhooks"),
        ({"health": {"status": "Degraded", "message": "no pod"}}, commit, "it is Degraded: no pod"),
        ({"health": {"status": "Progressing"}}, commit, ""),
        ({"conditions": [{"type": "ComparisonError", "message": "no such path"}]}, commit, "ComparisonError: no such"),
        ({"conditions": [{"type": "OrphanedResourceWarning", "message": "one"}]}, commit, ""),
    ):
        argo.applications = [application("m", folder, commit, **status)]
        (part,) = ArgoCd(argo.url, TOKEN).parts("prod")
        assert (part.commit, said in part.problem, bool(part.problem)) == (applied, True, bool(said)), part


def test_of_argo_cds_resources_only_services_that_are_there_run(argo: ArgoCdDouble) -> None:
    pod = {"kind": "Pod", "name": "other"}
    argo.applications = [
        application("m", "gitops/prod/m/", "c" * 40, resources=[service("one"), service("gone", "Missing"), pod]),
        application("p", "gitops/production/m", "c" * 40),
    ]
    (part,) = ArgoCd(argo.url, TOKEN).parts("prod")
    assert (part.folder, part.services) == ("gitops/prod/m", ("one",))


def test_an_argo_cd_that_does_not_answer_or_let_in_is_told(argo: ArgoCdDouble) -> None:
    with pytest.raises(NexusError, match="no Application syncs a folder of gitops/prod/"):
        ArgoCd(argo.url, TOKEN).parts("prod")
    with pytest.raises(NexusError, match="ARGOCD_AUTH_TOKEN"):
        ArgoCd(argo.url, "wrong").parts("prod")
    with pytest.raises(NexusError, match="is this Argo CD's API"):
        ArgoCd(f"{argo.url}/elsewhere", TOKEN).parts("prod")
    argo.status = 503
    with pytest.raises(Unreachable, match="503"):
        ArgoCd(argo.url, TOKEN).parts("prod")
    with pytest.raises(Unreachable, match="ARGOCD_SERVER"):
        ArgoCd("http://127.0.0.1:9", TOKEN).parts("prod")
    with pytest.raises(BadInput, match="ARGOCD_SERVER"):
        ArgoCd("ftp://argocd", TOKEN)
