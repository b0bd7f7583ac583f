"""The laptop's cluster: what a commit says is what runs, and what cannot run changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.errors import DigestMismatch, NexusError, Unreachable
from nexus_release.local.cluster import Cluster
from nexus_release.local.gateway import KEY
from nexus_release.local.probes import get_json, serves_model
from nexus_release.local.routes import linked_routes
from nexus_release.local.state import wait_until
from nexus_release.local.supervise import Follower
from nexus_release.plan import admitted, promoted, shifted
from nexus_release.trust.statement import statement_digest

from ..support.laptop import MODEL, Laptop, NotedRegistry, ask, cluster_of

SECONDS = 120.0  # of waiting; a loaded machine needs a minute to start an engine and a gateway


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def registry(laptop: Laptop) -> NotedRegistry:
    return NotedRegistry(laptop.clone)


@pytest.fixture
def cluster(laptop: Laptop, registry: NotedRegistry) -> Iterator[Cluster]:
    with cluster_of(laptop, registry) as made:
        yield made


def pids(cluster: Cluster) -> dict[str, int]:
    return {engine.service: engine.pid for engine in cluster.state.engines}


def table(laptop: Laptop) -> dict[str, str]:
    found = json.loads((laptop.home / "local" / "resolve.json").read_text())
    assert isinstance(found, dict)
    return found


def test_a_commit_without_models_is_applied_and_starts_nothing(laptop: Laptop, cluster: Cluster) -> None:
    head = cluster.head()
    cluster.apply(head)
    assert (cluster.state.applied, cluster.state.engines, cluster.state.last_problem) == (head, (), "")


def test_a_first_release_answers_through_the_gateway(laptop: Laptop, cluster: Cluster, registry: NotedRegistry) -> None:
    first = laptop.release(1)
    commit = laptop.plan(admitted(None, MODEL, first))
    cluster.apply(commit)
    assert ask(cluster.state.gateway) == first.release
    assert ask(cluster.state.gateway, "/v1/messages") == first.release, "our own worker is asked by chat"
    assert cluster.state.applied == commit
    (engine,) = cluster.state.engines
    assert (engine.model, engine.release) == (MODEL, first.release)
    assert serves_model(engine.address, MODEL)
    assert registry.pointed == {(MODEL, "local"): 1}


def test_the_console_shows_the_release_that_is_applied(laptop: Laptop, cluster: Cluster) -> None:
    first = laptop.release(1)
    cluster.apply(laptop.plan(admitted(None, MODEL, first)))
    admin = {"Authorization": f"Bearer {KEY}"}
    told = get_json(f"{cluster.state.gateway}/admin/releases", admin)
    assert isinstance(told, dict)
    assert told["problem"] is None
    ((release, places),) = [(one["release"], one["places"]) for one in told["releases"]]
    assert (release, places) == (first.release, [{"environment": "local", "role": "stable", "weight": None}])
    prices = get_json(f"{cluster.state.gateway}/admin/prices", admin)
    assert isinstance(prices, dict)
    assert prices["prices"]["currency"] == "EUR"
    cluster.apply(laptop.plan(admitted(None, MODEL, laptop.release(2))))
    (shown,) = (laptop.home / "local").glob("shown-*")
    assert (laptop.home / "local" / "shown").resolve() == shown


def test_the_alias_moves_only_after_the_gateway_serves_the_release(
    laptop: Laptop, cluster: Cluster, registry: NotedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(registry, "set_alias", lambda *_: seen.append(ask(cluster.state.gateway)))
    first = laptop.release(1)
    cluster.apply(laptop.plan(admitted(None, MODEL, first)))
    assert seen == [first.release]


def test_a_canary_starts_beside_and_a_contraction_stops_what_no_route_names(
    laptop: Laptop, cluster: Cluster, registry: NotedRegistry
) -> None:
    first, second = laptop.release(1), laptop.release(2)
    stable = admitted(None, MODEL, first)
    cluster.apply(laptop.plan(stable))
    before = pids(cluster)
    both = shifted(admitted(stable, MODEL, second), second.release, 50)
    cluster.apply(laptop.plan(both))
    assert len(pids(cluster)) == 2
    assert before.items() <= pids(cluster).items(), "the stable engine is the same process as before"
    assert wait_until(lambda: ask(cluster.state.gateway) == second.release, SECONDS)
    cluster.apply(laptop.plan(promoted(both, second.release, 0)))
    assert ask(cluster.state.gateway) == second.release
    (engine,) = cluster.state.engines
    assert engine.release == second.release
    assert list(table(laptop).values()) == [engine.address.removeprefix("http://")]
    assert registry.pointed == {(MODEL, "local"): 2}
    assert [path.name for path in (laptop.home / "local").glob("routes-*")] == [f"routes-{cluster.state.applied}"]


def test_an_artifact_that_is_not_there_changes_nothing(
    laptop: Laptop, cluster: Cluster, registry: NotedRegistry
) -> None:
    first, second = laptop.release(1), laptop.release(2)
    stable = admitted(None, MODEL, first)
    good = laptop.plan(stable)
    cluster.apply(good)
    before, routes = pids(cluster), linked_routes(cluster.paths)
    digest = laptop.content(2).artifact.digest
    (laptop.home / "store" / digest.replace(":", "/") / "config.json").unlink()
    bad = laptop.plan(promoted(admitted(stable, MODEL, second), second.release, 0))
    with pytest.raises(NexusError, match=digest):
        cluster.apply(bad)
    assert (pids(cluster), linked_routes(cluster.paths), cluster.state.applied) == (before, routes, good)
    assert ask(cluster.state.gateway) == first.release
    assert registry.pointed == {(MODEL, "local"): 1}


def test_a_release_that_nobody_has_signed_is_not_started_and_what_serves_goes_on(
    laptop: Laptop, cluster: Cluster
) -> None:
    first, second = laptop.release(1), laptop.release(2)
    stable = admitted(None, MODEL, first)
    good = laptop.plan(stable)
    cluster.apply(good)
    before = pids(cluster)
    shutil.rmtree(laptop.home / "store/signatures" / statement_digest(laptop.content(2)).removeprefix("sha256:"))
    bad = laptop.plan(promoted(admitted(stable, MODEL, second), second.release, 0))
    Follower(cluster, "").look()
    assert (pids(cluster), cluster.state.applied, cluster.state.refused) == (before, good, bad)
    assert f"release {second.release[:12]} of {MODEL} is signed by nobody" in cluster.state.last_problem
    assert ask(cluster.state.gateway) == first.release


def test_other_bytes_than_the_record_names_are_not_started_though_they_are_signed(
    laptop: Laptop, cluster: Cluster
) -> None:
    first, second = laptop.release(1), laptop.release(2)
    laptop.plan(admitted(None, MODEL, first))
    (path,) = (laptop.clone / "gitops/local" / MODEL).glob(f"*{first.release[:8]}*.yaml")
    ours, others = (laptop.content(seed).artifact.digest.removeprefix("sha256:") for seed in (1, 2))
    path.write_text(path.read_text().replace(ours, others))
    with pytest.raises(DigestMismatch, match=f"storageUri: expected sha256:{ours}, found sha256:{others}"):
        cluster.apply(laptop.commit(f"by hand, not {second.release}"))
    assert cluster.state.engines == ()


def test_routes_that_the_gateway_refuses_are_taken_back(laptop: Laptop, cluster: Cluster) -> None:
    first = laptop.release(1)
    good = laptop.plan(admitted(None, MODEL, first))
    cluster.apply(good)
    path = laptop.clone / "gitops/local/gateway/routes.d" / f"{MODEL}.yaml"
    path.write_text(path.read_text() + "surprise: true\n")
    with pytest.raises(NexusError, match="surprise"):
        cluster.apply(laptop.commit("by hand"))
    assert linked_routes(cluster.paths) == f"routes-{good}"
    assert ask(cluster.state.gateway) == first.release


def test_an_engine_that_dies_is_started_again_at_its_address(laptop: Laptop, cluster: Cluster) -> None:
    cluster.apply(laptop.plan(admitted(None, MODEL, laptop.release(1))))
    (before,) = cluster.state.engines
    os.killpg(before.pid, signal.SIGKILL)

    def back() -> bool:
        cluster.tend()
        return cluster.state.engines[0].pid not in (0, before.pid) and serves_model(before.address, MODEL)

    assert wait_until(back, SECONDS)
    assert cluster.state.engines[0].address == before.address


def test_a_registry_that_is_down_holds_up_the_alias_and_not_the_traffic(
    laptop: Laptop, cluster: Cluster, registry: NotedRegistry
) -> None:
    registry.trouble = Unreachable("no registry")
    first = laptop.release(1)
    commit = laptop.plan(admitted(None, MODEL, first))
    follower = Follower(cluster, "")
    follower.look()
    assert ask(cluster.state.gateway) == first.release
    assert cluster.state.applied == ""
    assert "no registry" in cluster.state.last_problem
    registry.trouble = None

    def mended() -> bool:
        follower.look()
        return cluster.state.applied == commit

    assert wait_until(mended, SECONDS)
    assert (cluster.state.last_problem, registry.pointed) == ("", {(MODEL, "local"): 1})


def test_an_engine_that_cannot_start_says_why(laptop: Laptop, registry: NotedRegistry) -> None:
    commit = laptop.plan(admitted(None, MODEL, laptop.release(1)))
    with cluster_of(laptop, registry, engine="vllm") as cluster:
        Follower(cluster, "").look()
        assert cluster.state.head == commit
        assert "make setup-vllm" in cluster.state.last_problem
        assert registry.pointed == {}


def test_after_a_restart_what_served_before_serves_before_main_is_tried(laptop: Laptop, cluster: Cluster) -> None:
    first = laptop.release(1)
    good = laptop.plan(admitted(None, MODEL, first))
    (laptop.clone / "gitops/local" / MODEL / "broken.yaml").write_text("kind: InferenceService\n")
    bad = laptop.commit("broken")
    Follower(cluster, resume=good).look()
    assert (cluster.state.applied, cluster.state.head) == (good, bad)
    assert f"{bad[:12]} is not applied" in cluster.state.last_problem
    assert ask(cluster.state.gateway) == first.release


def test_a_remote_that_cannot_be_read_is_said_and_survived(laptop: Laptop, cluster: Cluster) -> None:
    follower = Follower(cluster, "")
    follower.look()
    laptop.remote.rename(laptop.remote.with_suffix(".away"))
    follower.look()
    assert "main cannot be read" in cluster.state.last_problem
    laptop.remote.with_suffix(".away").rename(laptop.remote)
    follower.look()
    assert cluster.state.last_problem == ""
