"""The registry's aliases follow Git after it is served and healthy: real MLflow, real Git."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_release.adapters.mlflow_registry import registered_name
from nexus_release.errors import BadInput, Unreachable
from nexus_release.mirror import disagreements, standings
from nexus_release.plan import admitted, plan_path, promoted, shifted

from ..support.command import Nexus
from ..support.mirrored import Mirrored, Stage, entry_of
from ..support.mlflow_server import client_of
from ..support.releases import make_record

pytestmark = pytest.mark.services


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str, request: pytest.FixtureRequest) -> Mirrored:
    """A model of its own for each test, since all share one registry."""
    return Mirrored(tmp_path, mlflow_server, f"mirror/{request.node.name.replace('_', '-')}")


def done(world: Mirrored, environment: str = "local") -> dict[str, str]:
    """Alias -> what became of it, of this world's model."""
    return {one.alias: one.done for one in world.mirror(environment).aliases if one.model == world.model}


def told(world: Mirrored) -> list[str]:
    with world.repository.history() as history:
        found = standings(history, world.registry, "local")
    return disagreements([one for one in found if one.model == world.model])


def test_an_alias_moves_once_main_names_a_release_that_is_served_and_answers(world: Mirrored) -> None:
    first = world.release(1)
    world.remote.plan(admitted(None, world.model, first))
    assert done(world) == {"local": "moved"}
    assert world.aliases() == {"local": 1}
    assert done(world) == {"local": "holds"}
    assert told(world) == []


def test_a_version_that_an_alias_names_leads_to_the_commit_that_brought_its_record(world: Mirrored) -> None:
    first = world.release(1)
    recorded = world.remote.head
    world.remote.plan(admitted(None, world.model, first))
    world.mirror()
    version = world.registry.tagged(world.model, 1)
    assert version is not None
    assert version.commit == recorded


def test_it_waits_while_the_gateway_serves_an_earlier_commit(world: Mirrored) -> None:
    first, second = world.release(1), world.release(2)
    stable = admitted(None, world.model, first)
    before = world.remote.plan(stable)
    done(world)
    both = shifted(admitted(stable, world.model, second), second.release, 100)
    world.remote.plan(promoted(both, second.release, 1))
    world.stage.serves = (before,)
    (waits,) = world.mirror().which("waits")
    assert (waits.state, waits.because) == (
        "behind",
        f"the gateway still serves commit {before[:12]}, which does not name it",
    )
    assert world.aliases() == {"local": 1}
    world.stage.serves = ()
    assert done(world) == {"local": "moved"}
    assert world.aliases() == {"local": 2}


def test_a_gateway_that_says_nothing_of_what_it_serves_moves_no_alias(
    world: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.remote.plan(admitted(None, world.model, world.release(1)))
    monkeypatch.setattr(world.stage, "revisions", frozenset[str])
    (waits,) = world.mirror().which("waits")
    assert waits.because == "no gateway says what it serves"
    assert world.aliases() == {}


def test_one_replica_that_is_behind_holds_it_up(world: Mirrored) -> None:
    start = world.remote.head
    world.remote.plan(admitted(None, world.model, world.release(1)))
    world.stage.serves = (world.remote.head, start)
    assert done(world) == {"local": "waits"}
    assert world.aliases() == {}


def test_it_waits_while_the_engine_does_not_answer(world: Mirrored) -> None:
    first = world.release(1)
    world.remote.plan(admitted(None, world.model, first))
    world.stage.silent = {world.service(first)}
    (waits,) = world.mirror().which("waits")
    assert "its engine does not answer at http://" in waits.because
    assert world.aliases() == {}


def test_another_model_s_change_that_is_not_served_yet_holds_nothing_up(world: Mirrored) -> None:
    served = world.remote.plan(admitted(None, world.model, world.release(1)))
    other = make_record("another", 1)
    world.remote.plan(admitted(None, "another", world.remote.record(other)))
    world.stage.serves = (served,)
    assert done(world) == {"local": "moved"}


def test_a_canary_has_an_alias_of_its_own_until_it_is_promoted(world: Mirrored) -> None:
    first, second = world.release(1), world.release(2)
    entered = admitted(admitted(None, world.model, first), world.model, second)
    world.remote.plan(entered)
    assert done(world) == {"local": "moved", "local-canary": "moved"}
    assert world.aliases() == {"local": 1, "local-canary": 2}
    world.remote.plan(promoted(entered, second.release, 1))
    assert done(world) == {"local": "moved", "local-canary": "removed"}
    assert world.aliases() == {"local": 2}


def test_environments_share_a_registry_and_leave_each_other_s_aliases_alone(world: Mirrored) -> None:
    first, second = world.release(1), world.release(2)
    world.remote.plan(admitted(None, world.model, first))
    world.remote.plan(admitted(None, world.model, second), environment="staging")
    done(world)
    world.stage = Stage(world.repository, "staging")
    assert done(world, "staging") == {"staging": "moved"}
    assert world.aliases() == {"local": 1, "staging": 2}


def test_a_model_that_is_withdrawn_loses_the_environment_s_alias_and_no_other(
    world: Mirrored, mlflow_server: str
) -> None:
    world.remote.plan(admitted(None, world.model, world.release(1)))
    done(world)
    client = client_of(mlflow_server)
    client.set_registered_model_alias(registered_name(world.model), "of-a-person", "1")
    world.remote.commit({plan_path("local", world.model): None})
    assert "Git names no stable release" in "".join(told(world))
    assert done(world) == {"local": "removed"}
    assert world.aliases() == {"of-a-person": 1}


def test_models_of_others_are_not_touched(world: Mirrored, mlflow_server: str) -> None:
    """A person's, and those of another Git remote that shares the registry."""
    theirs = make_record("of-another-remote", 1)
    world.registry.register(entry_of(theirs))
    world.registry.set_alias("of-another-remote", "local", 1)
    client = client_of(mlflow_server)
    client.create_registered_model("a-person-s-model", tags={"nexus.model": world.model})
    client.create_model_version("a-person-s-model", "s3://x/y", await_creation_for=0)
    client.set_registered_model_alias("a-person-s-model", "local", "1")
    world.mirror()
    assert client.get_registered_model("a-person-s-model").aliases == {"local": "1"}
    assert world.registry.aliases()["of-another-remote"] == {"local": 1}


def test_an_alias_that_somebody_moved_by_hand_is_moved_back(world: Mirrored) -> None:
    first = world.release(1)
    world.release(2)
    world.remote.plan(admitted(None, world.model, first))
    done(world)
    world.registry.set_alias(world.model, "local", 2)
    (sentence,) = told(world)
    assert "points at version 2" in sentence
    assert sentence.endswith("somebody moved it by hand; Git's stable release "
                             f"{first.release[:12]} is version 1; run `nexus mirror --env local`")  # fmt: skip
    assert done(world) == {"local": "moved"}
    assert world.aliases() == {"local": 1}


def test_an_alias_that_leads_goes_even_where_what_git_names_is_not_up(world: Mirrored) -> None:
    first = world.release(1)
    world.release(2)
    world.remote.plan(admitted(None, world.model, first))
    world.registry.set_alias(world.model, "local", 2)
    world.stage.silent = {world.service(first)}
    assert done(world) == {"local": "removed"}
    assert world.aliases() == {}


def test_a_release_that_the_registry_does_not_have_is_refused_with_the_mend(world: Mirrored) -> None:
    pointer = world.remote.record(make_record(world.model, 1))
    world.remote.plan(admitted(None, world.model, pointer))
    (refused,) = world.mirror().which("refused")
    assert refused.state == "unregistered"
    assert "register it again" in refused.because


def test_a_version_that_says_another_artifact_than_the_record_gets_no_alias(
    world: Mirrored, mlflow_server: str
) -> None:
    pointer = world.release(1)
    world.remote.plan(admitted(None, world.model, pointer))
    client = client_of(mlflow_server)
    client.set_model_version_tag(registered_name(world.model), "1", "nexus.artifact", f"sha256:{'f' * 64}")
    (refused,) = world.mirror().which("refused")
    assert refused.state == "altered"
    assert f"nexus verify {pointer.release[:12]} --registry" in refused.because
    assert world.aliases() == {}


def test_a_gateway_that_does_not_answer_moves_nothing(world: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> frozenset[str]:
        raise Unreachable("no gateway")

    world.remote.plan(admitted(None, world.model, world.release(1)))
    monkeypatch.setattr(world.stage, "revisions", down)
    with pytest.raises(Unreachable, match="no gateway"):
        world.mirror()
    assert world.aliases() == {}


def test_an_environment_that_main_does_not_have_is_refused(world: Mirrored) -> None:
    with pytest.raises(BadInput, match=r"environments/moon/settings\.yaml"):
        world.mirror("moon")


def test_the_command_checks_tells_and_ends_as_it_says(
    world: Mirrored,
    mlflow_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nexus = Nexus(monkeypatch, capsys)
    for name, value in {
        "NEXUS_STATE": str(tmp_path / "state"),
        "NEXUS_REMOTE": str(world.remote.path),
        "MLFLOW_TRACKING_URI": mlflow_server,
    }.items():
        monkeypatch.setenv(name, value)
    world.remote.plan(admitted(None, world.model, world.release(1)))
    assert "set NEXUS_GATEWAY" in nexus("mirror").err
    monkeypatch.setenv("NEXUS_GATEWAY", "https://gateway")
    assert nexus("mirror").status == 2
    monkeypatch.setenv("NEXUS_GATEWAY", "http://127.0.0.1:9")
    assert "does not say what it serves" in nexus("mirror", "--wait", "0.1").err
    checked = nexus("mirror", "--check")
    assert checked.status == 1
    assert f"{world.model}: the registry's alias local: " in checked.out
    world.registry.set_alias(world.model, "local", 1)
    found = json.loads(nexus("mirror", "--check", "--json").out)
    assert [one["state"] for one in found if one["model"] == world.model] == ["holds"]
