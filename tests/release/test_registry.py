"""Releases in a real MLflow server."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nexus_release.adapters.mlflow_registry import MlflowRegistry, registered_name
from nexus_release.errors import Conflict, Missing, Unreachable
from nexus_release.ports import RegistryEntry, TaggedVersion

from ..support.mlflow_server import client_of
from ..support.team_mlflow import TeamMlflow

pytestmark = pytest.mark.services


def entry(model: str, release: str = "a" * 64) -> RegistryEntry:
    return RegistryEntry(
        model=model,
        release=release,
        artifact_uri=f"pvc://nexus-models/sha256/{'b' * 64}",
        artifact_digest=f"sha256:{'b' * 64}",
        dataset_digest=f"sha256:{'c' * 64}",
        dataset_rows=4211,
        parameters={"train.steps": "400", "train.learning_rate": "0.003"},
        metrics={"perplexity.base": 12.5, "agreement.low": 0.97},
        content=json.dumps({"model": model}),
    )


@pytest.fixture
def registry(mlflow_server: str) -> MlflowRegistry:
    return MlflowRegistry(mlflow_server)


@pytest.fixture(params=["SQLite", "Postgres"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The laptop's server, and a team's, which asks for a password."""
    if request.param == "SQLite":
        return str(request.getfixturevalue("mlflow_server"))
    team: TeamMlflow = request.getfixturevalue("team_mlflow")
    team.log_in(monkeypatch, "releaser")
    return team.url


def test_a_release_becomes_a_version_with_its_lineage(registry: MlflowRegistry, mlflow_server: str) -> None:
    made = registry.register(entry("lineage"))
    assert made.uri == "models:/lineage/1"
    version = client_of(mlflow_server).get_model_version("lineage", "1")
    assert version.source == f"pvc://nexus-models/sha256/{'b' * 64}"
    assert version.tags["nexus.release"] == "a" * 64
    assert version.tags["nexus.artifact"] == f"sha256:{'b' * 64}"
    assert version.tags["nexus.dataset"] == f"sha256:{'c' * 64}"
    assert version.run_id == made.run


def test_the_run_holds_parameters_metrics_dataset_and_content(registry: MlflowRegistry, mlflow_server: str) -> None:
    made = registry.register(entry("evidence"))
    client = client_of(mlflow_server)
    run = client.get_run(made.run)
    assert run.data.params == {"train.steps": "400", "train.learning_rate": "0.003"}
    assert run.data.metrics == {"perplexity.base": 12.5, "agreement.low": 0.97}
    assert run.info.status == "FINISHED"
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source) == {"digest": f"sha256:{'c' * 64}"}
    assert [file.path for file in client.list_artifacts(made.run)] == ["content.json"]


def test_registering_twice_gives_the_same_version_run_and_logged_model(either: str) -> None:
    registry = MlflowRegistry(either)
    first = registry.register(entry("twice"))
    client = client_of(either)
    before = (client.get_run(first.run).to_dictionary(), client.get_logged_model(first.logged_model).to_dictionary())
    assert registry.register(entry("twice")) == first
    assert len(client.get_metric_history(first.run, "perplexity.base")) == 1
    after = (client.get_run(first.run).to_dictionary(), client.get_logged_model(first.logged_model).to_dictionary())
    assert _without_clocks(after) == _without_clocks(before)


def test_of_four_that_register_one_release_at_once_one_version_counts(either: str) -> None:
    with ThreadPoolExecutor(4) as racers:
        made = list(racers.map(lambda _: MlflowRegistry(either).register(entry("at-once")), range(4)))
    assert len({one.version for one in made}) == 1
    versions = client_of(either).search_model_versions("name = 'at-once'")
    assert [int(one.version) for one in versions if "nexus.abandoned" not in one.tags] == [made[0].version]
    assert MlflowRegistry(either).find("at-once", "a" * 64) == made[0]


def test_four_releases_at_once_are_four_versions(either: str) -> None:
    entries = [entry("side-by-side", f"{number}" * 64) for number in range(4)]
    with ThreadPoolExecutor(4) as racers:
        made = list(racers.map(lambda one: MlflowRegistry(either).register(one), entries))
    assert sorted(one.version for one in made) == [1, 2, 3, 4]
    assert [MlflowRegistry(either).find("side-by-side", one.release) for one in entries] == made


def test_another_release_is_the_next_version(registry: MlflowRegistry) -> None:
    registry.register(entry("next"))
    assert registry.register(entry("next", "d" * 64)).version == 2


def test_a_run_that_died_before_its_version_is_gone_on_with(either: str) -> None:
    client = client_of(either)
    experiment = client.create_experiment("cut-off")
    left = client.create_run(experiment, tags={"nexus.release": "a" * 64})
    made = MlflowRegistry(either).register(entry("cut-off"))
    assert made.run == left.info.run_id
    assert client.get_run(made.run).data.metrics["agreement.low"] == 0.97


def test_a_logged_model_that_was_left_half_made_is_gone_on_with(either: str) -> None:
    client = client_of(either)
    experiment = client.create_experiment("half-made")
    left = client.create_logged_model(experiment, name="left", tags={"nexus.release": "a" * 64})
    assert left.status == "PENDING"
    made = MlflowRegistry(either).register(entry("half-made"))
    assert made.logged_model == left.model_id
    assert client.get_logged_model(left.model_id).status == "READY"


def test_of_two_versions_of_one_release_the_first_counts(either: str) -> None:
    registry = MlflowRegistry(either)
    first = registry.register(entry("raced"))
    client = client_of(either)
    client.create_model_version("raced", "pvc://x/y", tags={"nexus.release": "a" * 64}, await_creation_for=0)
    assert registry.register(entry("raced")) == first
    assert client.get_model_version("raced", "2").tags["nexus.abandoned"] == "duplicate of 1"
    assert registry.find("raced", "a" * 64) == first


def _without_clocks(told: tuple[dict[str, Any], ...]) -> str:
    """As MLflow tells it, without when it was told so last."""
    return re.sub(r"'(end_time|last_updated_timestamp)': \d+", "", str(told))


def test_find_knows_only_what_was_registered(registry: MlflowRegistry) -> None:
    made = registry.register(entry("found"))
    assert registry.find("found", "a" * 64) == made
    assert registry.find("found", "e" * 64) is None
    assert registry.find("never-registered", "a" * 64) is None


def test_an_alias_with_slashes_gets_a_name_that_mlflow_takes(registry: MlflowRegistry, mlflow_server: str) -> None:
    made = registry.register(entry("org/chat:v1@x"))
    name = registered_name("org/chat:v1@x")
    assert made.uri == f"models:/{name}/1"
    assert client_of(mlflow_server).get_registered_model(name).tags["nexus.model"] == "org/chat:v1@x"


def test_a_name_that_another_model_holds_is_refused(registry: MlflowRegistry) -> None:
    registry.register(entry("org/held"))
    with pytest.raises(Conflict, match="belongs to org/held"):
        registry.register(entry(registered_name("org/held")))


def test_a_local_store_is_named_by_digest_and_not_by_path(registry: MlflowRegistry, mlflow_server: str) -> None:
    registry.register(replace(entry("laptop"), artifact_uri=f"file:///home/me/.nexus/store/sha256/{'b' * 64}"))
    version = client_of(mlflow_server).get_model_version("laptop", "1")
    assert version.source == f"nexus-store:///sha256/{'b' * 64}"


def test_aliases_move_and_are_numbers(registry: MlflowRegistry) -> None:
    registry.register(entry("pointed"))
    registry.register(entry("pointed", "d" * 64))
    assert registry.aliases()["pointed"] == {}
    registry.set_alias("pointed", "local", 1)
    registry.set_alias("pointed", "prod", 1)
    registry.set_alias("pointed", "local", 2)
    assert registry.aliases()["pointed"] == {"local": 2, "prod": 1}
    registry.drop_alias("pointed", "local")
    registry.drop_alias("pointed", "local")
    registry.drop_alias("never-registered", "local")
    assert registry.aliases()["pointed"] == {"prod": 1}


def test_aliases_are_told_by_the_model_s_own_name(registry: MlflowRegistry) -> None:
    registry.register(entry("org/told:v1"))
    registry.set_alias("org/told:v1", "local", 1)
    assert registry.aliases()["org/told:v1"] == {"local": 1}


def test_a_version_says_what_it_is_of(registry: MlflowRegistry) -> None:
    registry.register(entry("tagged"))
    registry.link("tagged", 1, "c" * 40)
    said = TaggedVersion(version=1, release="a" * 64, artifact=f"sha256:{'b' * 64}", commit="c" * 40)
    assert registry.tagged("tagged", 1) == said
    assert registry.tagged("tagged", 2) is None


def test_an_alias_never_points_at_a_version_that_is_not_there(registry: MlflowRegistry) -> None:
    registry.register(entry("short"))
    with pytest.raises(Missing, match="to version 7"):
        registry.set_alias("short", "local", 7)
    assert registry.aliases()["short"] == {}


def test_a_dead_registry_is_unreachable_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(Unreachable, match=uri):
            MlflowRegistry(uri).find("chat", "a" * 64)


def test_a_failing_registry_is_tried_again_and_then_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with failing_server() as (uri, seen), pytest.raises(Unreachable, match="looking for chat"):
        MlflowRegistry(uri).find("chat", "a" * 64)
    assert len(seen) == 3


@contextmanager
def failing_server() -> Iterator[tuple[str, list[str]]]:
    """Answers 503 to everything, and lists what it was asked."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def test_registering_is_quiet(registry: MlflowRegistry, capfd: pytest.CaptureFixture[str]) -> None:
    registry.register(entry("quiet"))
    assert capfd.readouterr() == ("", "")
