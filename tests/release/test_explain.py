"""`nexus explain`: from whatever is in hand to commit, routes, release, evaluation and data, each link proved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_release.adapters.git import GitRepository
from nexus_release.errors import BadInput, DigestMismatch, Missing
from nexus_release.explain import Explanation, explain, lines
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan, admitted, plan_path, plan_text, promoted, shifted
from nexus_release.record import record_path
from nexus_release.revisions import routes_revision

from ..support.command import Nexus
from ..support.releases import make_pointer, make_record
from ..support.remotes import Remote, plant_house

MODEL, OTHER = "acme/Llama-4:8B@chat", "pydoc-chat"
ROUTES = "gitops/local/gateway/routes.d"
ONE, TWO, THREE = (make_pointer(make_record(MODEL, seed)) for seed in (1, 2, 3))
FIRST = admitted(None, MODEL, ONE)
ENTERED = admitted(FIRST, MODEL, TWO)
SHIFTED = shifted(ENTERED, TWO.release, 20)
PROMOTED = promoted(SHIFTED, TWO.release, 1)

History = tuple[Remote, dict[str, str]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A model through a canary, a promotion and a rollback; then another model comes. Commits by name."""
    remote = Remote(tmp_path_factory.mktemp("history"), plant_house)
    commits = {"start": remote.head}
    for number, seed in (("one", 1), ("two", 2), ("three", 3)):
        remote.record(make_record(MODEL, seed))
        commits[f"record {number}"] = remote.head
    states = {"first": FIRST, "entered": ENTERED, "shifted": SHIFTED, "promoted": PROMOTED, "rolled back": ENTERED}
    for name, plan in states.items():
        commits[name] = remote.plan(plan, name)
    pointer = remote.record(make_record(OTHER, 1))
    commits["other"] = remote.plan(admitted(None, OTHER, pointer), "other")
    commits["unrelated"] = remote.commit({"README.md": "more\n"})
    return remote, commits


@pytest.fixture
def remote(history: History) -> Remote:
    return history[0]


@pytest.fixture
def commits(history: History) -> dict[str, str]:
    return history[1]


def asked(remote: Remote, what: str, environment: str = "local") -> Explanation:
    return explain(GitRepository(str(remote.path)), what, environment)


def revision(remote: Remote, commit: str) -> str:
    files = remote.files(ROUTES, commit=commit)
    return routes_revision({Path(name).name: data for name, data in files.items()})


def weights(found: Explanation) -> dict[str, dict[str, int]]:
    return {model.model: {one.release: one.weight for one in model.releases} for model in found.models}


def test_a_revision_leads_to_its_commit_routes_and_releases(remote: Remote, commits: dict[str, str]) -> None:
    sought = revision(remote, commits["shifted"])
    for what in (sought, sought[:8]):
        found = asked(remote, what)
        assert (found.found, found.revision, found.environment) == ("revision", sought, "local")
        assert (found.commit.hash, found.commit.subject) == (commits["shifted"], "shifted")
        assert found.commit.time == remote.git("log", "-1", "--format=%cI", commits["shifted"])
        assert weights(found) == {MODEL: {ONE.release: 80, TWO.release: 20}}
        assert found.models[0].route == f"{ROUTES}/{model_slug(MODEL)}.yaml"


def test_a_release_is_shown_with_its_proved_record(remote: Remote, commits: dict[str, str]) -> None:
    [model] = asked(remote, revision(remote, commits["shifted"])).models
    stable, canary = model.releases
    assert (stable.role, canary.role) == ("stable", "canary")
    assert stable.service == service_name(MODEL, ONE.release)
    assert stable.record == make_record(MODEL, 1)
    assert (stable.recorded_by, canary.recorded_by) == (commits["record one"], commits["record two"])


def test_a_revision_that_a_rollback_brought_again_names_both_commits(remote: Remote, commits: dict[str, str]) -> None:
    found = asked(remote, revision(remote, commits["entered"]))
    assert found.commit.hash == commits["rolled back"]
    assert [one.hash for one in found.earlier] == [commits["entered"]]


def test_a_revision_of_several_models_shows_all_of_them(remote: Remote) -> None:
    found = asked(remote, revision(remote, "main"))
    assert [model.model for model in found.models] == [MODEL, OTHER]


def test_a_model_is_shown_as_it_is_served_now(remote: Remote, commits: dict[str, str]) -> None:
    found = asked(remote, MODEL)
    assert (found.found, found.commit.hash) == ("model", commits["other"])
    assert found.revision == revision(remote, "main")
    assert weights(found) == {MODEL: {ONE.release: 100, TWO.release: 0}}


def test_a_release_that_runs_is_shown_alone_and_as_it_runs_now(remote: Remote, commits: dict[str, str]) -> None:
    for what in (TWO.release, TWO.release[:8], service_name(MODEL, TWO.release)):
        found = asked(remote, what)
        assert found.commit.hash == commits["other"]
        assert weights(found) == {MODEL: {TWO.release: 0}}
    assert asked(remote, TWO.release).found == "release"
    assert asked(remote, service_name(MODEL, TWO.release)).found == "InferenceService"


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (f"models:/{MODEL}/2", "registry version"),
        (f"m-{2:032x}", "LoggedModel"),
        (f"models:/m-{2:032x}", "LoggedModel"),
        (record_path(MODEL, TWO.release), "record"),
        (TWO.record, "record"),
        (service_name(MODEL, TWO.release), "InferenceService"),
    ],
    ids=["version", "LoggedModel", "its address", "path", "digest", "service"],
)
def test_version_record_and_service_lead_to_the_release(
    remote: Remote,
    commits: dict[str, str],
    what: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXUS_REMOTE", str(remote.path))
    told = Nexus(monkeypatch, capsys)("explain", what, "--json")
    assert told.status == 0, told.err
    found = Explanation.model_validate_json(told.out)
    assert found.found == kind
    assert [one.release for model in found.models for one in model.releases] == [TWO.release]
    assert found.models == asked(remote, TWO.release).models


def test_a_release_that_has_gone_is_shown_as_it_last_was(
    remote: Remote, commits: dict[str, str], tmp_path: Path
) -> None:
    later = Remote.copied(remote, tmp_path)
    last = later.plan(promoted(SHIFTED, TWO.release, 1), "kept warm")
    later.plan(promoted(admitted(PROMOTED, MODEL, THREE), THREE.release, 1), "gone")
    found = asked(later, ONE.release)
    assert found.commit.hash == last
    assert weights(found) == {MODEL: {ONE.release: 0}}
    assert found.models[0].releases[0].role == "retained"


def test_a_commit_shows_what_it_changed_and_another_what_stood(remote: Remote, commits: dict[str, str]) -> None:
    for what in (commits["promoted"], commits["promoted"][:10]):
        found = asked(remote, what)
        assert (found.found, found.commit.hash) == ("commit", commits["promoted"])
        assert weights(found) == {MODEL: {TWO.release: 100, ONE.release: 0}}
    assert list(weights(asked(remote, commits["other"]))) == [OTHER]
    assert list(weights(asked(remote, commits["unrelated"]))) == [MODEL, OTHER]
    assert asked(remote, commits["start"]).models == ()


def test_what_is_unknown_is_missing_and_says_what_was_searched(remote: Remote) -> None:
    count = remote.git("rev-list", "--count", "main")
    for what in ("0" * 64, "no-such-model", "m-0123abcd", "; rm -rf /", "../../etc/passwd", "", "\n"):
        with pytest.raises(Missing, match=f"in the {count} commits of main"):
            asked(remote, what)


def test_a_prefix_that_is_too_short_is_not_guessed(remote: Remote) -> None:
    with pytest.raises(Missing, match="at least 8"):
        asked(remote, TWO.release[:7])


def test_a_release_that_no_plan_has_named_is_said_to_be_recorded_only(remote: Remote) -> None:
    with pytest.raises(Missing, match="no plan of local has named it"):
        asked(remote, THREE.release)
    with pytest.raises(Missing, match="no plan of dev has named it"):
        asked(remote, ONE.release, "dev")


def test_the_beginning_of_two_things_is_refused_with_both(remote: Remote, tmp_path: Path) -> None:
    """A release whose id begins like another's cannot be made, a file that is named so can."""
    later = Remote.copied(remote, tmp_path)
    twin = ONE.release[:8] + "0" * 56
    later.commit({record_path(MODEL, twin): later.file(record_path(MODEL, ONE.release)).decode()})
    with pytest.raises(DigestMismatch, match=twin):
        asked(later, ONE.release[:8])
    name = TWO.release[:8]
    plan = plan_text(Plan(model=name, stable=ONE))
    later.commit({plan_path("local", name): plan, f"{ROUTES}/{model_slug(name)}.yaml": "a route\n"})
    with pytest.raises(BadInput, match=f"release {TWO.release}, model {name}"):
        asked(later, name)
    assert asked(later, TWO.release).found == "release"


def test_an_unknown_environment_is_refused(remote: Remote) -> None:
    for environment in ("moon", "../local", ""):
        with pytest.raises(BadInput, match="--env"):
            asked(remote, MODEL, environment)


def test_a_changed_byte_in_a_record_is_seen_and_named(remote: Remote, tmp_path: Path) -> None:
    later, path = Remote.copied(remote, tmp_path), record_path(MODEL, ONE.release)
    text = later.file(path).decode()
    later.commit({path: text.replace('"rows": 4211', '"rows": 4212')})
    for what in (MODEL, ONE.release):
        with pytest.raises(DigestMismatch, match=path):
            asked(later, what)
    later.commit({path: text.replace("a test", "b test")})  # what was observed is in no id, but in the file's digest
    with pytest.raises(DigestMismatch, match=f"expected {ONE.record}"):
        asked(later, MODEL)
    later.commit({path: None})
    with pytest.raises(Missing, match=path):
        asked(later, MODEL)


def test_people_read_the_answer_first_and_then_every_link(remote: Remote, commits: dict[str, str]) -> None:
    sought = revision(remote, commits["shifted"])
    told = lines(asked(remote, sought))
    assert told[0] == (
        f"revision {sought}: in local {MODEL} is {ONE.release[:12]} (stable, 80 %), {TWO.release[:12]} (canary, 20 %)"
    )
    text, content = "\n".join(told), make_record(MODEL, 2).content
    for link in (
        *(commits["shifted"], "shifted", f"{ROUTES}/{model_slug(MODEL)}.yaml"),
        *(TWO.release, service_name(MODEL, TWO.release), commits["record two"][:12]),
        *(f"models:/{MODEL}/2, LoggedModel m-{2:032x}, run run-2", content.artifact.digest),
        *("perplexity 21.51, base 21.30", "0.00712 to 0.01243", "quantize.scheme=W8A8", "scratch://qwen2"),
        *(content.dataset.digest, "4211 rows", content.dataset.contract, content.code.steps),
    ):
        assert link in text
    assert all(line.isprintable() for line in told)


def test_the_command_answers_in_text_and_json_and_ends_with_1_for_the_unknown(remote: Remote) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        nexus = Path(sys.executable).parent / "nexus"
        environment = {**os.environ, "NEXUS_REMOTE": str(remote.path), "NEXUS_STATE": str(remote.path.parent / "state")}
        return subprocess.run([nexus, "explain", *words], env=environment, capture_output=True, text=True)

    assert run(MODEL).stdout.splitlines() == lines(asked(remote, MODEL))
    assert json.loads(run(MODEL, "--json").stdout) == asked(remote, MODEL).model_dump(mode="json")
    unknown = run("no-such-model")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("nexus: no-such-model: no revision, release, commit, model, InferenceService, ")
