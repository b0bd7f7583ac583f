"""The story goes on without a cluster: the release goes from dev to staging to prod, by changes that are proved.

The remote is the demo's own. A commit of its own lets dev, staging and prod trust this machine's key, and gives dev the
GPUs of staging: the committed settings trust nobody, for whose key would it be?
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from nexus_release.config import load_settings, settings_path
from nexus_release.demo.narrator import Narrator
from nexus_release.demo.stage import MODEL, Stage
from nexus_release.documents import read_yaml, yaml_text
from nexus_release.errors import NexusError
from nexus_release.evidence.pull_request import pull_request_text
from nexus_release.manifests.tree import tree_path
from nexus_release.plan import Pointer, read_plan
from nexus_release.plan_changes import Main, commit_of, enter
from nexus_release.ports import Commit, Landed
from nexus_release.promotion.evidence import asked_of
from nexus_release.promotion.proofs import prove
from nexus_release.proposals import admission, admission_branch, two_checkouts
from nexus_release.record import record_path
from nexus_release.renderer import check_with_own_code, render_with_own_code
from nexus_release.trust.keys import PublicKey
from nexus_release.wiring import merged_pull

CHAIN = ("dev", "staging", "prod")
_KEY = "keys/this-machine.pem"
_TREE = "### The rendered tree"


def trust_this_machine(stage: Stage, say: Narrator) -> None:
    """One commit of settings, which a person of the company would make by review."""
    key = stage.tools.signatures.own_key()
    if key is None:
        raise NexusError("this machine has signed nothing yet, and the releases of the demo are signed by its key")

    def edit(clone: Path) -> Sequence[str]:
        return _settings(clone, key)

    commit = Commit("Trust this machine's key in dev, staging and prod", {"Nexus-Demo": "settings"}, edit)
    done = stage.tools.repository.propose("demo/settings", [commit], check=_anything, lands=lambda _: True)
    say.say(f"{commit.message}: {_commit_of(done)}")
    say.say("no cluster is here: gitops/dev, staging and prod are what Argo CD would apply, and nothing applies them")


def admit(stage: Stage, say: Narrator, release: str) -> None:
    """The release that is stable here comes into dev, where releases begin, as `nexus release --env dev` leaves it."""
    with two_checkouts(stage.tools.repository) as (_, before, __):
        record = (before / record_path(MODEL, release)).read_bytes()
    commits = admission(CHAIN[0], MODEL, release, record)
    _prove_and_land(stage, say, CHAIN[0], admission_branch(CHAIN[0], MODEL, release), commits)


def promote_to(stage: Stage, say: Narrator, environment: str, *, show: bool) -> None:
    """`nexus promote MODEL --to ENV`, its pull request's text, and `nexus check-pr` on its branch."""
    tools = stage.tools
    with two_checkouts(tools.repository) as (_, before, after):
        plan = read_plan(before, environment, MODEL)
        change = enter(Main(before, plan, tools.store, tools.signatures), MODEL, environment)
        say.say(f"nexus promote {MODEL} --to {environment}: {change.message}")
        if show and plan is None:
            commit_of(environment, change).edit(after)
            text = pull_request_text(asked_of(before, after, environment, MODEL, change.pointer, change.message))
            say.say("the text of its pull request, without the diff:")
            say.block(text.partition(_TREE)[0].rstrip().splitlines())
    branch = admission_branch(environment, MODEL, change.pointer.release)
    _prove_and_land(stage, say, environment, branch, [commit_of(environment, change)])


def expect_everywhere(stage: Stage, say: Narrator, release: str) -> None:
    """The same release, by the same record, is stable in each; each tree is rendered from its own settings."""
    with tempfile.TemporaryDirectory(prefix="nexus-demo-") as folder:
        stage.tools.repository.checkout(Path(folder))
        plans = {environment: read_plan(Path(folder), environment, MODEL) for environment in CHAIN}
        rows = [_row(Path(folder), environment, plan.stable) for environment, plan in plans.items() if plan]
    if {plan.stable.release if plan else "" for plan in plans.values()} != {release}:
        raise NexusError(f"release {release[:12]} should be stable in {', '.join(CHAIN)}")
    say.table(("environment", "stable", "record", "pods", "on", "files in gitops/"), rows)


def _row(root: Path, environment: str, stable: Pointer) -> tuple[str, ...]:
    settings = load_settings(root, environment)
    files = sum(path.is_file() for path in (root / tree_path(environment)).rglob("*"))
    pods, gpu = str(settings.replicas.minimum), settings.gpu.model
    return environment, stable.release[:12], stable.record[:19], pods, gpu, str(files)


def _prove_and_land(stage: Stage, say: Narrator, environment: str, branch: str, commits: list[Commit]) -> None:
    tools = stage.tools

    def check(before: Path, after: Path) -> None:
        check_with_own_code(before, after, environment)

    left = tools.repository.propose(branch, commits, check=check, lands=lambda _: False)
    if not left.commits:
        say.say(f"{environment}: main says so already")
        return
    say.say(f"branch {branch} waits; nexus check-pr --base main --head {branch}")
    with merged_pull(Path(tools.connections.remote), "main", branch) as pull:
        _, proofs = prove(pull, tools.store, tools.signatures, lambda: None)
    say.table(("proof", "", "said"), [(one.name, one.state, "; ".join(one.said)) for one in proofs])
    if lies := [one.name for one in proofs if one.state == "lies"]:
        raise NexusError(f"{branch}: {', '.join(lies)} should hold")
    landed = tools.repository.propose(branch, commits, check=check, lands=lambda _: True)
    say.say(f"two people would agree here; merged: {_commit_of(landed)}")


def _settings(clone: Path, key: PublicKey) -> Sequence[str]:
    (clone / "environments" / _KEY).parent.mkdir(exist_ok=True)
    (clone / "environments" / _KEY).write_text(key.pem, encoding="ascii")
    for environment in CHAIN:
        document = read_yaml(clone, settings_path(environment))
        asked = dict(document) if isinstance(document, dict) else {}
        if load_settings(clone, environment).signatures.keys in ((), (_KEY,)):
            asked["signatures"] = {"accept": "trusted", "keys": [_KEY]}
        if environment == CHAIN[0]:
            gpu = load_settings(clone, CHAIN[1]).gpu
            asked["gpu"] = {"model": gpu.model, "node_selector": gpu.node_selector}
        (clone / settings_path(environment)).write_text(yaml_text(asked, sort_keys=False), encoding="utf-8")
    render_with_own_code(clone, *CHAIN)
    return ["environments/", *(f"{tree_path(environment)}/" for environment in CHAIN)]


def _commit_of(done: Landed) -> str:
    return f"commit {done.commits[-1][:12]}" if done.commits else "main says so already"


def _anything(before: Path, after: Path) -> None:
    """Settings are no plan: people review them, and `nexus check-pr` proves them as such."""
