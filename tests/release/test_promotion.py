"""`nexus promote MODEL --from A --to B`: only what is stable below, holds the target's gates and is signed comes in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_release.config import load_settings
from nexus_release.errors import BadInput
from nexus_release.plan import Plan, admitted, plan_path, read_plan
from nexus_release.promotion.chain import below
from nexus_release.promotion.rejudged import rejudged
from nexus_release.record import Record, release_id

from ..support.forge_server import TOKEN, Fault, forge
from ..support.promotable import MODEL, Company, plant_clusters, promotable
from ..support.remotes import Remote
from ..support.repository import ROOT

NEXUS = Path(sys.executable).parent / "nexus"
ONE, TWO = promotable(1), promotable(2)


def nexus(company: Company, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"NEXUS_REMOTE": company.connections.remote, "NEXUS_WORK": company.connections.work, **more}
    return subprocess.run([NEXUS, *words], env={**os.environ, **environment}, capture_output=True, text=True)


def told(company: Company, *words: str, **more: str) -> dict[str, Any]:
    done = nexus(company, *words, "--json", **more)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("house"), plant_clusters)


@pytest.fixture
def company(house: Remote, tmp_path: Path) -> Company:
    return Company(Remote.copied(house, tmp_path), tmp_path)


def plan_of(company: Company, environment: str, branch: str = "main") -> Plan | None:
    company.remote.pull()
    text = company.remote.files(plan_path(environment, MODEL), commit=branch)
    return read_plan(company.remote.clone, environment, MODEL) if branch == "main" and text else None


def merge(company: Company, branch: str) -> None:
    company.remote.git("update-ref", "refs/heads/main", company.remote.refs()[branch])


def test_what_is_stable_below_comes_in_by_one_commit_of_one_plan(company: Company) -> None:
    plan = company.stable(ONE, "dev")
    before = company.remote.refs()
    done = told(company, "promote", MODEL, "--from", "dev", "--to", "staging")
    release = release_id(ONE.content)
    assert done["branch"] == f"admit/staging/{MODEL}/{release[:12]}"
    assert (done["change"], done["environment"], done["landed"]) == ("admit", "staging", False)
    (commit,) = done["commits"]
    assert company.remote.refs() == {**before, done["branch"]: commit}
    assert company.remote.trailers(commit)["Nexus-Environment"] == "staging"
    changed = company.remote.changed(commit)
    assert plan_path("staging", MODEL) in changed
    assert all(path == plan_path("staging", MODEL) or path.startswith("gitops/staging/") for path in changed)
    merge(company, done["branch"])
    assert plan_of(company, "staging") == plan


def test_a_promotion_that_is_repeated_is_the_same_branch(company: Company) -> None:
    company.stable(ONE, "dev")
    words = ("promote", MODEL, "--to", "staging")
    first, refs = told(company, *words), company.remote.refs()
    assert told(company, *words)["commits"] == first["commits"]
    assert company.remote.refs() == refs
    merge(company, first["branch"])
    assert told(company, *words)["commits"] == []


def test_a_later_release_comes_in_as_canary_without_traffic(company: Company) -> None:
    stable = company.stable(ONE, "staging")
    company.stable(TWO, "dev")
    merge(company, told(company, "promote", MODEL, "--to", "staging")["branch"])
    plan = plan_of(company, "staging")
    assert plan is not None
    assert plan.stable == stable.stable
    assert plan.canary is not None
    assert (plan.canary.release, plan.canary.weight) == (release_id(TWO.content), 0)


def test_a_release_is_promoted_through_the_whole_chain(company: Company) -> None:
    company.stable(ONE, "dev")
    for environment in ("staging", "prod"):
        merge(company, told(company, "promote", MODEL, "--to", environment)["branch"])
    assert plan_of(company, "prod") == plan_of(company, "dev")


@pytest.mark.parametrize(
    ("record", "lacks"),
    [
        (promotable(1, worst={"perplexity": 0.03}), "quality: perplexity 21.40, base 21.30: 0.03000"),
        (promotable(1, worst={"agreement": 0.92}), "quality: agreement"),
        (promotable(1, worst={"accuracy": -0.08}), "quality: accuracy of held-out"),
        (promotable(1, confidence="0.9"), "quality: confidence was 0.9, at least 0.95 is asked for"),
        (promotable(1, pii="allow"), "data: pii was allow, refuse is asked for"),
        (promotable(1, max_same_answer_share="0.9"), "data: max_same_answer_share was 0.9, at most 0.5"),
        (promotable(1, max_characters="many"), "data: max_characters was many"),
    ],
    ids=["perplexity", "agreement", "accuracy", "confidence", "personal data", "same answer", "no number"],
)
def test_what_held_the_gates_below_is_held_anew_against_stricter_ones(
    company: Company, record: Record, lacks: str
) -> None:
    company.stable(record, "dev")
    before = company.remote.refs()
    done = nexus(company, "promote", MODEL, "--to", "staging")
    assert done.returncode == 1
    assert f"may not enter staging:\n  {lacks}" in done.stderr
    assert company.remote.refs() == before


def test_all_that_a_release_lacks_is_named_at_once(company: Company) -> None:
    company.stable(promotable(1, worst={"perplexity": 0.03, "agreement": 0.91, "rows": 900}), "dev")
    done = nexus(company, "promote", MODEL, "--to", "staging")
    for name in ("perplexity", "agreement", "rows 900, at least 1000"):
        assert name in done.stderr


def test_a_release_that_nobody_has_signed_whom_the_target_trusts_stays_below(company: Company) -> None:
    company.stable(ONE, "dev", signed=False)
    (company.tools.work / "store").mkdir(parents=True)
    away = nexus(company, "promote", MODEL, "--to", "staging", "--dry-run")
    assert away.returncode == 0, "without its bytes at hand nothing can be said, and the cluster proves it"
    stranger = Company(company.remote, company.remote.path.parent)
    stranger.tools.connections = stranger.connections.model_copy(update={"signing_key": ""})
    stranger.make(ONE)
    done = nexus(company, "promote", MODEL, "--to", "staging")
    assert done.returncode == 1
    assert "signature: signed by" in done.stderr


def test_an_environment_that_trusts_no_key_lets_nothing_in(company: Company) -> None:
    company.stable(ONE, "dev")
    company.remote.commit({"environments/staging/settings.yaml": "promotion:\n  from: dev\n"})
    company.remote.pull()
    done = nexus(company, "promote", MODEL, "--to", "staging")
    assert done.returncode == 1
    assert "staging trusts no key" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--to", "staging"), 1, "dev has no such model; release or promote it there first"),
        (("--to", "prod"), 1, "staging has no such model"),
        (("--to", "dev"), 2, "`nexus release` is how releases come in"),
        (("--from", "dev", "--to", "prod"), 1, "staging has no such model"),
        (("--from", "dev"), 2, "say --to too"),
        (("--to", "staging", "--env", "prod"), 2, "--to staging says it already"),
        (("--to", "moon"), 2, "environment: 'moon'"),
        (("--to", "../prod"), 2, "environment: '../prod'"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_and_changes_nothing(
    house: Remote, tmp_path: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    before = house.refs()
    done = nexus(Company(house, tmp_path), "promote", MODEL, *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert house.refs() == before


def test_an_environment_is_not_leapt_over(company: Company) -> None:
    company.stable(ONE, "dev", "staging")
    done = nexus(company, "promote", MODEL, "--from", "dev", "--to", "prod")
    assert done.returncode == 2
    assert "releases come into prod from staging" in done.stderr


def test_the_chain_of_environments_is_data(tmp_path: Path) -> None:
    assert [below(ROOT, name) for name in ("local", "dev", "staging", "prod")] == [
        (), (), ("dev",), ("staging", "dev")
    ]  # fmt: skip
    plant_clusters(tmp_path)
    settings = tmp_path / "environments/dev/settings.yaml"
    text = settings.read_text()
    settings.write_text(f"{text}promotion: {{from: prod}}\n")
    with pytest.raises(BadInput, match="it goes in a circle"):
        below(tmp_path, "staging")
    settings.write_text(f"{text}promotion: {{from: moon}}\n")
    with pytest.raises(BadInput, match=r"dev/settings.yaml: promotion.from: 'moon'"):
        below(tmp_path, "staging")


def test_a_figure_that_was_never_measured_holds_no_bound() -> None:
    content = ONE.content
    gates = load_settings(ROOT, "staging").gates
    assert rejudged(content, gates) == ()
    quality = content.gate("quality")
    short = quality.model_copy(update={"figures": quality.figures[1:]})
    without = content.model_copy(update={"gates": (*content.gates[:3], short)})
    assert rejudged(without, gates) == ("quality: perplexity was not measured",)


def test_a_scheme_for_which_an_environment_has_no_bounds_does_not_enter() -> None:
    gates = load_settings(ROOT, "staging").gates
    fewer = gates.model_copy(update={"artifact": gates.artifact.model_copy(update={"schemes": {}})})
    assert rejudged(ONE.content, fewer) == ("artifact: this environment has no bounds for it",)


def test_a_branch_that_waits_gets_a_pull_request_with_the_evidence(company: Company, tmp_path: Path) -> None:
    company.stable(ONE, "dev")
    words = ("promote", MODEL, "--to", "staging", "--text", str(tmp_path / "text.md"))
    with forge("gitea") as server:
        server.repository = company.connections.remote.strip("/").removesuffix(".git")
        asked = {"NEXUS_FORGE": "gitea", "NEXUS_FORGE_URL": server.url, "NEXUS_FORGE_TOKEN": TOKEN}
        done = told(company, *words, **asked)
        assert (done["pull_request"], done["pull_request_was"]) == ("https://forge.example/pulls/1", "opened")
        assert told(company, *words, **asked)["pull_request_was"] == "unchanged"
        (pull,) = server.pulls
        assert (pull["head"]["ref"], pull["base"]["ref"], pull["title"]) == (done["branch"], "main", done["message"])
        assert pull["body"] == (tmp_path / "text.md").read_text()
        assert "Approvals needed: 2" in pull["body"]

        server.faults = [Fault(403)]
        refused = nexus(company, *words, **asked)
        assert refused.returncode == 1
        assert f"{done['branch']} is pushed, and its pull request is not open" in refused.stderr
        assert TOKEN not in refused.stderr


def test_diff_says_what_a_branch_changes_what_main_has_changed_and_what_a_checkout_would(company: Company) -> None:
    company.stable(ONE, "dev")
    start = company.remote.head
    branch = told(company, "promote", MODEL, "--to", "staging")["branch"]
    company.remote.plan(admitted(None, MODEL, company.make(TWO)), "meanwhile", "dev")
    by_branch = told(company, "diff", "staging", branch)
    one = release_id(ONE.content)[:12]
    assert by_branch["before"] == start
    (sentence,) = by_branch["models"]
    assert sentence.startswith(f"{MODEL}: not there -> stable {one}; +1 x H100-80GB; +")
    assert sentence.endswith(" an hour at most; 2 approvals")
    assert f"+++ b/gitops/staging/{MODEL}/" in by_branch["diff"]
    assert told(company, "diff", "dev", branch)["models"] == [], "what main has got since is none of the branch's"

    since = told(company, "diff", "dev", start)
    assert (since["before"], since["after"]) == (start, company.remote.head)
    assert since["models"][0].startswith(f"{MODEL}: stable {one} -> stable {release_id(TWO.content)[:12]}")

    company.remote.pull()
    path = company.remote.clone / plan_path("dev", MODEL)
    path.unlink()
    here = subprocess.run(
        [NEXUS, "diff", "dev", "--remote", company.connections.remote, "--json"],
        cwd=company.remote.clone, capture_output=True, text=True,
    )  # fmt: skip
    assert here.returncode == 0, here.stderr
    found = json.loads(here.stdout)
    assert found["after"] == "this checkout"
    assert found["models"][0].startswith(f"{MODEL}: stable {release_id(TWO.content)[:12]} -> not there; 100 %")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("moon", "main"), 2, "environment: 'moon'"),
        (("staging", "no/such/branch"), 1, "no branch no/such/branch"),
        (("staging", "0" * 40), 1, "main holds no commit"),
        (("0123456789",), 2, "name the release that it is compared with"),
        (("../x",), 2, "environment: '../x'"),
    ],
)
def test_a_diff_of_what_is_not_there_is_refused(
    house: Remote, tmp_path: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    done = nexus(Company(house, tmp_path), "diff", *words)
    assert done.returncode == status
    assert says in done.stderr
