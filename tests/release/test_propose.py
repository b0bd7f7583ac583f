"""A release on its way to main: what it would change, the two commits that it becomes, and how it ends but once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_release.digests import digest_bytes, digest_folder
from nexus_release.errors import Conflict, Missing, NexusError, Unreachable
from nexus_release.plan import plan_path, read_plan
from nexus_release.ports import RegisteredVersion, RegistryEntry
from nexus_release.proposals import admission, admission_branch
from nexus_release.record import Record, content_json, read_record, record_path, record_text, release_id
from nexus_release.steps.propose import ProposeIn, ProposeOut, propose
from nexus_release.steps.render import DIFF, RenderIn, RenderOut, render
from nexus_release.wiring import Connections, Tools

from ..support.forge_server import TOKEN, Fault, forge
from ..support.promotable import promotable
from ..support.releases import keep_signed, make_record
from ..support.remotes import Remote, plant_house
from ..support.signing import COMPANY, trust

MODEL = "pydoc-chat"


class OneVersion:
    """A registry that has registered every release as version 7, or none."""

    known = True

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        raise AssertionError("these steps register nothing")

    def find(self, model: str, release: str) -> RegisteredVersion | None:
        return (
            RegisteredVersion(version=7, run="run-7", uri=f"models:/{model}/7", logged_model="m-7")
            if self.known
            else None
        )


class Machine:
    """One machine that carries releases to the remote, with a store of its own."""

    def __init__(self, remote: Remote, folder: Path, *, dirty: bool = False) -> None:
        self.registry = OneVersion()
        self.connections = Connections(work=folder.as_uri(), registry="", remote=str(remote.path), dirty=dirty)
        self.tools = Tools(self.connections)
        self.tools.__dict__["registry"] = self.registry  # in place of MLflow, which has tests of its own

    def signed(self, record: Record, environment: str) -> str:
        """By the key that the environment accepts."""
        key = "" if environment == "local" else COMPANY
        return keep_signed(record.content, Tools(self.connections.model_copy(update={"signing_key": key})))

    def render(self, record: Record, environment: str = "local") -> RenderOut:
        given = RenderIn(
            environment=environment,
            model=record.content.model,
            release=release_id(record.content),
            content=content_json(record.content).decode(),
            statement=self.signed(record, environment),
        )
        return render(given, self.tools)

    def propose(
        self, record: Record, rendered: RenderOut, environment: str = "local", reason: str | None = None
    ) -> ProposeOut:
        given = ProposeIn(
            environment=environment,
            model=record.content.model,
            release=release_id(record.content),
            content=content_json(record.content).decode(),
            diff=rendered.diff,
            reason=reason,
        )
        return propose(given, self.tools)

    def release(self, record: Record, environment: str = "local") -> ProposeOut:
        return self.propose(record, self.render(record, environment), environment)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote(tmp_path_factory.mktemp("house"), plant)


def plant(root: Path) -> None:
    plant_house(root)
    trust(root, "dev", COMPANY)


@pytest.fixture
def remote(house: Remote, tmp_path: Path) -> Remote:
    return Remote.copied(house, tmp_path)


@pytest.fixture
def machine(remote: Remote, tmp_path: Path) -> Machine:
    return Machine(remote, tmp_path / "work")


ONE, TWO = make_record(MODEL, 1), make_record(MODEL, 2)
TRUE = promotable(1)
"""With the figures of which the text of a pull request tells."""


def test_what_asked_for_a_release_is_a_trailer_of_its_plan_and_changes_nothing_else(
    house: Remote, remote: Remote, machine: Machine, tmp_path: Path
) -> None:
    reason = "sha256:" + "d" * 64
    asked = machine.propose(ONE, machine.render(ONE), reason=reason)
    assert remote.trailers("main")["Nexus-Reason"] == reason
    assert "Nexus-Reason" not in remote.trailers("main~1")
    (tmp_path / "other").mkdir()
    other = Remote.copied(house, tmp_path / "other")
    plain = Machine(other, tmp_path / "other-work").release(ONE)
    assert plain == asked
    assert "Nexus-Reason" not in other.trailers("main")
    kept = ("environments", f"gitops/local/{MODEL}", "gitops/local/gateway")
    assert other.files(*kept).keys() == remote.files(*kept).keys()
    (record,) = (path for path in remote.files("gitops/releases"))
    assert record in other.files("gitops/releases")  # the same id


def test_a_release_becomes_its_record_and_then_its_plan(remote: Remote, machine: Machine, tmp_path: Path) -> None:
    base = remote.head
    rendered = machine.render(ONE)
    assert remote.refs() == {"main": base}, "to render changes nothing"
    done = machine.propose(ONE, rendered)
    release, path = release_id(ONE.content), record_path(MODEL, release_id(ONE.content))
    assert done == ProposeOut(branch=f"admit/local/{MODEL}/{release[:12]}", landed=True)

    recorded, planned = remote.git("rev-list", "--reverse", f"{base}..main").split()
    assert machine.tools.notes == {"branch": done.branch, "commits": f"{recorded} {planned}"}
    assert remote.changed(recorded) == {path}
    assert remote.changed(recorded) | remote.changed(planned) == set(rendered.changed)
    assert plan_path("local", MODEL) in remote.changed(planned)
    assert list(remote.refs()) == ["main"]

    names = {"Nexus-Model": MODEL, "Nexus-Release": release, "Nexus-Record": digest_bytes(remote.file(path))}
    assert remote.trailers(recorded) == names
    assert remote.trailers(planned) == {**names, "Nexus-Change": "admit", "Nexus-Environment": "local"}

    remote.pull()
    assert digest_folder(remote.clone / "gitops" / "local") == rendered.tree
    plan = read_plan(remote.clone, "local", MODEL)
    assert plan is not None
    assert (plan.stable.release, plan.stable.record) == (release, digest_bytes(remote.file(path)))


def test_the_record_says_where_the_release_was_seen(remote: Remote, tmp_path: Path) -> None:
    base = remote.head
    machine = Machine(remote, tmp_path / "work", dirty=True)
    machine.release(ONE)
    remote.pull()
    record = read_record(remote.clone, MODEL, release_id(ONE.content))
    assert record.content == ONE.content
    observed = record.observed
    assert (observed.registry_uri, observed.run) == (f"models:/{MODEL}/7", "run-7")
    assert observed.artifact_uri == machine.tools.store.uri(ONE.content.artifact.digest)
    assert (observed.commit, observed.dirty) == (base, True)


def test_a_later_release_comes_in_without_traffic(remote: Remote, machine: Machine) -> None:
    machine.release(ONE)
    machine.release(TWO)
    remote.pull()
    plan = read_plan(remote.clone, "local", MODEL)
    assert plan is not None
    assert plan.canary is not None
    assert (plan.stable.release, plan.canary.release) == (release_id(ONE.content), release_id(TWO.content))
    assert plan.canary.weight == 0


def test_a_release_that_main_has_is_not_written_again(remote: Remote, machine: Machine, tmp_path: Path) -> None:
    first = machine.render(ONE)
    machine.propose(ONE, first)
    before = remote.refs()
    other = Machine(remote, tmp_path / "other", dirty=True)
    other.registry.known = False  # what main has needs no registry
    again = other.render(ONE)
    assert (again.tree, again.changed) == (first.tree, ())
    assert (other.tools.store.get(again.diff) / DIFF).read_text() == ""
    assert other.propose(ONE, again).landed
    assert remote.refs() == before


def test_a_step_whose_result_was_lost_after_the_push_is_harmless(remote: Remote, machine: Machine) -> None:
    rendered = machine.render(ONE)
    done = machine.propose(ONE, rendered)
    before = remote.refs()
    assert machine.propose(ONE, rendered) == done
    assert remote.refs() == before


def test_a_proposal_cut_off_before_main_is_finished_by_another_machine(
    remote: Remote, machine: Machine, tmp_path: Path
) -> None:
    remote.hook("update", '[ "$1" != refs/heads/main ]')
    rendered = machine.render(ONE)
    with pytest.raises(NexusError):
        machine.propose(ONE, rendered)
    assert list(remote.refs()) == ["main"]
    remote.hook("update", "exit 0")
    assert Machine(remote, tmp_path / "other").release(ONE).landed
    assert len(remote.files("gitops/releases")) == 1


def test_for_review_a_branch_waits_and_the_same_release_again_is_the_same_proposal(
    remote: Remote, machine: Machine, tmp_path: Path
) -> None:
    main = remote.head
    done = machine.release(ONE, "dev")
    assert not done.landed
    before = remote.refs()
    assert before["main"] == main
    assert before.keys() == {"main", done.branch}
    assert Machine(remote, tmp_path / "other", dirty=True).release(ONE, "dev") == done
    assert remote.refs() == before


def test_for_review_a_branch_gets_its_pull_request_where_the_forge_is_known(remote: Remote, machine: Machine) -> None:
    with forge("gitea") as server:
        server.repository = str(remote.path).strip("/").removesuffix(".git")
        told = {"forge": "gitea", "forge_url": server.url, "forge_token": TOKEN}
        machine.tools.connections = machine.connections.model_copy(update=told)
        rendered = machine.render(TRUE, "dev")
        server.faults = [Fault(503) for _ in range(20)]
        with pytest.raises(Unreachable, match=r"is pushed, and its pull request is not open.*run it again"):
            machine.propose(TRUE, rendered, "dev")
        server.faults.clear()
        done = machine.propose(TRUE, rendered, "dev")
        assert done.pull_request == "https://forge.example/pulls/1"
        assert machine.propose(TRUE, rendered, "dev") == done
        (pull,) = server.pulls
        assert (pull["head"]["ref"], pull["base"]["ref"]) == (done.branch, "main")
        assert pull["title"] == f"Admit release {release_id(TRUE.content)[:12]} of {MODEL} to dev"
        assert "Approvals needed" in pull["body"]
        assert release_id(TRUE.content) in pull["body"]
        assert machine.release(TRUE).pull_request is None, "what lands needs none"


def test_a_release_of_one_environment_enters_another_with_the_same_record(remote: Remote, machine: Machine) -> None:
    machine.release(ONE)
    records = remote.files("gitops/releases")
    done = machine.release(ONE, "dev")
    assert remote.files("gitops/releases", commit=done.branch) == records
    assert len(remote.git("rev-list", f"main..{done.branch}").split()) == 1


def race(*runs: Callable[[], ProposeOut]) -> list[ProposeOut | BaseException]:
    ready = threading.Barrier(len(runs))

    def run(one: Callable[[], ProposeOut]) -> ProposeOut | BaseException:
        ready.wait(30)
        try:
            return one()
        except NexusError as error:
            return error

    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(run, runs))


def test_releases_of_two_models_at_once_both_land(remote: Remote, tmp_path: Path) -> None:
    other = make_record("acme/Llama-4:8B@chat", 1)
    one, two = Machine(remote, tmp_path / "1"), Machine(remote, tmp_path / "2")
    rendered, other_rendered = one.render(ONE), two.render(other)
    done = race(lambda: one.propose(ONE, rendered), lambda: two.propose(other, other_rendered))
    assert all(isinstance(each, ProposeOut) and each.landed for each in done), done
    assert len(remote.files("gitops/releases")) == 2
    assert len(remote.files("environments/local/models")) == 2
    assert len(remote.files("gitops/local/gateway/routes.d")) == 3  # and the policies
    assert list(remote.refs()) == ["main"]


def test_two_releases_of_one_model_at_once_are_one_after_the_other(remote: Remote, tmp_path: Path) -> None:
    one, two = Machine(remote, tmp_path / "1"), Machine(remote, tmp_path / "2")
    rendered, other_rendered = one.render(ONE), two.render(TWO)
    done = race(lambda: one.propose(ONE, rendered), lambda: two.propose(TWO, other_rendered))
    assert all(isinstance(each, ProposeOut) and each.landed for each in done), done
    remote.pull()
    plan = read_plan(remote.clone, "local", MODEL)
    assert plan is not None
    assert set(plan.releases) == {release_id(ONE.content), release_id(TWO.content)}


def test_one_release_from_two_machines_at_once_is_one_record(remote: Remote, tmp_path: Path) -> None:
    one, two = Machine(remote, tmp_path / "1"), Machine(remote, tmp_path / "2", dirty=True)
    rendered, other_rendered = one.render(ONE), two.render(ONE)
    assert rendered == other_rendered
    done = race(lambda: one.propose(ONE, rendered), lambda: two.propose(ONE, other_rendered))
    assert any(isinstance(each, ProposeOut) and each.landed for each in done), done
    assert len(remote.files("gitops/releases")) == 1
    assert remote.subjects()[0].startswith("Admit") or remote.subjects()[0].startswith("Record")
    assert len(remote.subjects()) == 3


def test_a_record_that_another_run_has_just_brought_is_the_one_that_is_proposed(
    remote: Remote, machine: Machine, tmp_path: Path
) -> None:
    late = Machine(remote, tmp_path / "late", dirty=True)
    rendered = late.render(ONE, "dev")
    machine.release(ONE)
    brought = remote.files("gitops/releases")
    done = late.propose(ONE, rendered, "dev")
    assert remote.files("gitops/releases", commit=done.branch) == brought


def test_a_plan_never_points_at_a_record_that_another_run_has_replaced(remote: Remote, machine: Machine) -> None:
    machine.release(ONE)
    remote.pull()
    release = release_id(ONE.content)
    own = record_text(Record(content=ONE.content, observed=TWO.observed)).encode()
    record, plan = admission("dev", MODEL, release, own)
    record.edit(remote.clone)
    with pytest.raises(Conflict, match="another run"):
        plan.edit(remote.clone)


def test_the_diff_shows_what_the_rendered_tree_becomes(remote: Remote, machine: Machine) -> None:
    diff = (machine.tools.store.get(machine.render(ONE).diff) / DIFF).read_text()
    name = f"gitops/local/gateway/routes.d/{MODEL}.yaml"
    assert f"--- /dev/null\n+++ b/{name}\n" in diff
    assert "environments/" not in diff, "the plan names the record's file, which says when it was made"


def test_nothing_is_proposed_that_nobody_can_look_at(remote: Remote, machine: Machine) -> None:
    rendered = machine.render(ONE).model_copy(update={"diff": f"sha256:{0:064}"})
    before = remote.refs()
    with pytest.raises(Missing):
        machine.propose(ONE, rendered)
    assert remote.refs() == before


def test_what_did_not_pass_its_evaluation_does_not_land(remote: Remote, machine: Machine) -> None:
    before = remote.refs()
    with pytest.raises(NexusError, match="did not pass its gates"):
        machine.release(make_record(MODEL, 1, accepted=False))
    assert remote.refs() == before


def test_what_the_registry_does_not_know_is_missing(remote: Remote, machine: Machine) -> None:
    machine.registry.known = False
    with pytest.raises(Missing, match="the registry has no version"):
        machine.render(ONE)


def test_main_s_own_code_renders_what_is_committed(remote: Remote, machine: Machine) -> None:
    """As when this checkout is older than main."""
    file = "pipelines/nexus_release/manifests/gateway.py"
    text = remote.file(file).decode()
    assert '{"url": url}' in text
    remote.commit({file: text.replace('{"url": url}', '{"url": f"{url}/newer"}')}, "A newer renderer")
    machine.release(ONE)
    route = remote.file(f"gitops/local/gateway/routes.d/{MODEL}.yaml").decode()
    assert "svc.cluster.local/newer" in route


def test_a_main_that_was_not_rendered_is_said_and_not_mended_by_a_release(remote: Remote, machine: Machine) -> None:
    remote.commit({"gitops/local/namespace/namespace.yaml": "by: hand\n"})
    before = remote.refs()
    with pytest.raises(NexusError, match=r"would also change gitops/local/namespace/namespace\.yaml.*nexus render"):
        machine.release(ONE)
    assert remote.refs() == before


def test_a_main_without_the_code_cannot_be_rendered(remote: Remote, machine: Machine) -> None:
    remote.pull()
    shutil.rmtree(remote.clone / "pipelines")
    remote.commit({"README.md": "no code here\n"})
    with pytest.raises(NexusError, match="pipelines/nexus_release"):
        machine.render(ONE)


def test_a_person_s_commit_on_the_proposal_is_not_lost(remote: Remote, machine: Machine) -> None:
    done = machine.release(ONE, "dev")
    remote.commit_on(done.branch, {"README.md": "Looked at.\n"})
    before = remote.refs()
    settings = "environments/dev/settings.yaml"
    remote.commit(
        {settings: remote.file(settings).decode() + "resources: {cpu: '8'}\n"}
    )  # so that it renders otherwise
    with pytest.raises(Conflict, match=admission_branch("dev", MODEL, release_id(ONE.content))):
        machine.release(ONE, "dev")
    assert remote.refs()[done.branch] == before[done.branch]
