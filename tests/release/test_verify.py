"""`nexus verify`: every link of a release is recomputed, and one changed byte in any of them is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.plan import plan_path
from nexus_release.ports import RegistryEntry
from nexus_release.record import (
    CodeContent,
    Content,
    content_json,
    record_path,
    release_id,
)
from nexus_release.steps.evaluate import SCORED
from nexus_release.suite import suite_document

from ..support.mlflow_server import client_of
from ..support.remotes import Remote, plant_house
from ..support.true_releases import MODEL, World


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("house")
    world = World(folder, Remote(folder, plant_house))
    world.land(world.record(1))
    return world


@pytest.fixture
def world(house: World, tmp_path: Path) -> World:
    shutil.copytree(house.folder / "work", tmp_path / "work")
    return World(tmp_path, Remote.copied(house.remote, tmp_path))


@pytest.fixture
def release(world: World) -> str:
    return release_id(world.record(1).content)


def test_a_release_that_nobody_has_touched_holds_in_every_link(world: World, release: str) -> None:
    done = world.verify(release[:8], "--strict", "--json")
    assert done.returncode == 0, done.stdout
    findings = json.loads(done.stdout)["findings"]
    assert {one["link"] for one in findings} == {
        *("record", "history", "trailer", "verdict", "retention", "plan"),
        *("artifact", "base", "bill", "signature", "dataset", "evidence", "fit", "suite", "code", "packages"),
    }
    assert {one["state"] for one in findings} == {"holds"}


def test_everything_is_also_every_environment_s_tree(world: World) -> None:
    done = world.verify("--all")
    assert done.returncode == 0, done.stdout
    assert "holds     tree      gitops/local  byte for byte what its sources render" in done.stdout
    assert "holds     tree      gitops/prod" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"1 releases of main {world.remote.head[:12]}: ")


def flip(data: bytes, old: bytes, new: bytes) -> str:
    assert data.count(old) == 1
    return data.replace(old, new).decode()


def test_a_changed_byte_of_the_content_is_named(world: World, release: str) -> None:
    path = record_path(MODEL, release)
    data = world.remote.file(path)
    changed = flip(data, b'"rows": 5,', b'"rows": 9,')
    commit = world.remote.commit({path: changed})
    done = world.verify(release, "--json")
    assert done.returncode == 1
    told = {one["link"]: one["detail"] for one in json.loads(done.stdout)["findings"] if one["state"] == "lies"}
    at = data.index(b'"rows": 5,') + len(b'"rows": ')
    line = data[:at].count(b"\n") + 1
    assert f"byte {at} (line {line}) is '9' and was '5'; commit {commit[:12]} changed it" in told["history"]
    assert "expected " + release in told["record"]
    assert {"record", "history", "trailer", "plan"} <= told.keys()


def test_a_changed_byte_beside_the_content_is_named_though_the_id_holds(world: World, release: str) -> None:
    path = record_path(MODEL, release)
    world.remote.commit({path: flip(world.remote.file(path), b'"a test"', b'"a nest"')})
    found = json.loads(world.verify(release, "--json").stdout)["findings"]
    state = {one["link"]: one["state"] for one in found}
    assert (state["record"], state["history"], state["trailer"], state["plan"]) == ("holds", "lies", "lies", "lies")


def test_a_record_that_is_no_record_is_named_with_its_first_byte(world: World, release: str) -> None:
    world.remote.commit({record_path(MODEL, release): "no JSON\n"})
    assert "byte 0 (line 1) is 'n' and was '{'" in str(json.loads(world.verify(release, "--json").stdout))


def test_a_plan_that_names_another_record_is_named(world: World, release: str) -> None:
    path = plan_path("local", MODEL)
    text = world.remote.file(path).decode()
    start = text.index("record: sha256:") + len("record: sha256:")
    world.remote.commit({path: text[:start] + ("1" if text[start] == "0" else "0") + text[start + 1 :]})
    assert world.lies(release)[path].startswith(f"plan: {release[:12]}: names record sha256:")


@pytest.mark.parametrize("change", ["byte", "stray", "gone"])
def test_a_tree_that_is_not_what_its_sources_render_is_named(world: World, release: str, change: str) -> None:
    path = f"gitops/local/{MODEL}/{MODEL}-{release[:8]}.yaml"
    text = world.remote.file(path).decode()
    if change == "byte":
        world.remote.commit({path: text.replace("minReplicas: 1", "minReplicas: 3")})
        at = text.index("minReplicas: 1") + len("minReplicas: ")
        assert f"byte {at} " in world.lies("--all")[path]
    elif change == "stray":
        stray = f"gitops/local/{MODEL}/stray.yaml"
        world.remote.commit({stray: "kind: Secret\n"})
        assert world.lies("--all")[stray] == "tree: nothing renders it"
    else:
        world.remote.commit({path: None})
        assert world.lies("--all")[path] == "tree: it is missing"


def _content(world: World) -> Content:
    return world.record(1).content


ENTRIES: dict[str, tuple[Callable[[Content], str], str, int]] = {
    "artifact": (lambda c: c.artifact.digest, "model.safetensors", (1 << 20) + 7),
    "base": (lambda c: c.base, "model.safetensors", 2),
    "bill": (lambda c: c.bill_of_materials, "bom.cdx.json", 1),
    "dataset": (lambda c: c.dataset.digest, "holdout.jsonl", 11),
    "evidence": (lambda c: c.gate("quality").evidence, "report.json", 3),
}


@pytest.mark.parametrize("link", ENTRIES)
def test_a_changed_byte_in_the_store_is_named_by_file_and_place(world: World, release: str, link: str) -> None:
    choose_digest, name, at = ENTRIES[link]
    digest = choose_digest(_content(world))
    file = world.store.get(digest) / name
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    told = world.lies(release)[digest]
    block = at >> 20 << 20
    end = min(block + (1 << 20), len(data)) - 1
    assert told.startswith(f"{link}: ")
    assert f"{name} differs between byte {block} and {end}" in told


@pytest.mark.parametrize("change", ["longer", "gone", "more"])
def test_a_file_that_came_went_or_grew_is_named(world: World, release: str, change: str) -> None:
    digest = _content(world).artifact.digest
    entry = world.store.get(digest)
    if change == "longer":
        (entry / "config.json").write_bytes(b"{}" + bytes(3 << 20))
        wanted = "config.json differs between byte 0 and 1048575"
    elif change == "gone":
        (entry / "config.json").unlink()
        wanted = "config.json is missing"
    else:
        (entry / "evil.py").write_text("pass")
        wanted = "evil.py was not there"
    assert wanted in world.lies(release)[digest]


def test_what_another_machine_has_is_unproved_and_no_lie(world: World, release: str) -> None:
    shutil.rmtree(world.store.get(_content(world).artifact.digest))
    done = world.verify(release)
    assert done.returncode == 0
    assert "unproved  artifact" in done.stdout
    assert world.verify(release, "--strict").returncode == 1


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "rows": ({"rows": 6}, "dataset: it has 5 rows, the record says 6"),
    "suite": ({"suite": "sha256:" + "0" * 64}, "suite: its evidence gives sha256:"),
    "placement": ({"placed": {"tensor_parallel": 2}}, "fit: planned anew it is placed otherwise"),
    "rows asked": (
        {"asked": suite_document([], [], (), SCORED)},
        "suite: its rows or questions are not those that the held-out rows give",
    ),
    "verdict": (
        {"high": "0.0501"},
        "verdict: perplexity 21.51, base 21.30: 0.00986 (0.00712 to 0.0501), at most 0.05: it says passed",
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_a_record_that_was_born_lying_is_found_out(world: World, what: str) -> None:
    """Its id, its bytes and its trailer are true of the lie; what it speaks of is not."""
    given, wanted = LIES[what]
    release = world.land(world.record(2, **given))
    assert [told[: len(wanted)] for told in world.lies(release).values()] == [wanted]


def test_evidence_that_has_other_figures_than_the_record_is_found_out_at_each_gate(world: World) -> None:
    release = world.land(world.record(2, reported="7"))
    told = list(world.lies(release).values())
    assert told == ["evidence: its report.json has other figures than the record"] * 3


def test_a_record_whose_dataset_is_something_else_is_named_and_does_not_stop_the_rest(world: World) -> None:
    made = world.record(6)
    dataset = made.content.dataset.model_copy(update={"digest": made.content.artifact.digest})
    pointer = world.remote.record(
        made.model_copy(
            update={
                "content": made.content.model_copy(update={"dataset": dataset}),
                "observed": made.observed.model_copy(update={"commit": "--help"}),
            }
        )
    )
    told = world.lies(pointer.release)
    assert told == {
        made.content.artifact.digest: "dataset: its rows cannot be read as ours: FileNotFoundError",
        made.content.gate("data").evidence: "evidence: its report.json cannot be read as ours: FileNotFoundError",
        made.content.evaluation.suite: "suite: it cannot be read as ours: FileNotFoundError",
    }


def test_a_record_that_a_person_brought_has_no_trailer_and_is_said_so(world: World) -> None:
    pointer = world.remote.record(world.record(3))
    done = world.verify(pointer.release)
    assert done.returncode == 0
    assert "unproved  trailer" in done.stdout


def test_code_that_is_in_no_commit_is_unproved(world: World) -> None:
    made = world.record(4)
    code = CodeContent(steps="sha256:" + "1" * 64, environment=made.content.code.environment)
    record = made.model_copy(update={"content": made.content.model_copy(update={"code": code})})
    done = world.verify(world.land(record))
    assert done.returncode == 0
    assert "no commit of main has it" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give the beginning of one release id, or --all"),
        (("12345678", "--all"), "give the beginning of one release id, or --all"),
        (("1234567",), "give 8 to 64 hex digits"),
        (("../../etc",), "give 8 to 64 hex digits"),
    ],
)
def test_what_is_no_id_ends_with_2(world: World, words: tuple[str, ...], told: str) -> None:
    done = world.verify(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_an_unknown_id_ends_with_1(world: World) -> None:
    done = world.verify("0" * 8)
    assert done.returncode == 1
    assert "main has no record of such a release; it has 1 records" in done.stderr


@pytest.fixture
def registered(world: World, mlflow_server: str) -> tuple[World, str, int]:
    """A release that a real registry knows as its record says."""
    world.connections = world.connections.model_copy(update={"registry": mlflow_server})
    record = world.record(5)
    content = record.content
    entry = RegistryEntry(
        model=MODEL,
        release=release_id(content),
        artifact_uri="file:///store",
        artifact_digest=content.artifact.digest,
        dataset_digest=content.dataset.digest,
        dataset_rows=content.dataset.rows,
        parameters=content.recipe,
        metrics={},
        content=content_json(content).decode(),
    )
    found = MlflowRegistry(mlflow_server).register(entry)
    observed = record.observed.model_copy(update={"registry_uri": found.uri, "run": found.run})
    release = world.land(record.model_copy(update={"observed": observed}))
    return world, release, found.version


@pytest.mark.services
def test_the_registry_is_asked_only_where_it_is_wanted(registered: tuple[World, str, int]) -> None:
    world, release, version = registered
    done = world.verify(release, "--registry")
    assert done.returncode == 0, done.stdout
    assert f"models:/{MODEL}/{version}  tags and content.json are the record's" in done.stdout
    assert "registry" not in world.verify(release).stdout


@pytest.mark.services
def test_a_registry_that_says_something_else_is_named(registered: tuple[World, str, int], mlflow_server: str) -> None:
    world, release, version = registered
    client = client_of(mlflow_server)
    uri = f"models:/{MODEL}/{version}"
    run = client.get_model_version(MODEL, str(version)).run_id
    text = Path(client.download_artifacts(run, "content.json", str(world.folder))).read_text()
    client.log_text(run, text.replace('"rows":5', '"rows":7'), "content.json")
    assert f"byte {text.index('rows') + 6} (line 1) is '7' and was '5'" in world.lies(release, "--registry")[uri]
    client.set_model_version_tag(MODEL, str(version), "nexus.artifact", "sha256:" + "0" * 64)
    assert "tag nexus.artifact is sha256:000" in world.lies(release, "--registry")[uri]


@pytest.mark.services
def test_a_registry_without_the_version_is_named(registered: tuple[World, str, int], mlflow_server: str) -> None:
    world, release, version = registered
    client_of(mlflow_server).delete_model_version(MODEL, str(version))
    assert "has no version of this release" in str(world.lies(release, "--registry"))
