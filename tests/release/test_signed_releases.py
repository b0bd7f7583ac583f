"""Nothing is rendered or proposed that nobody answers for whom the environment trusts, and that is decided by main."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from nexus_release.commands.sign import command as sign_command
from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput, DigestMismatch, Missing, SignatureRefused
from nexus_release.ports import RegisteredVersion, RegistryEntry
from nexus_release.record import content_json, release_id
from nexus_release.steps.propose import ProposeIn, ProposeOut, propose
from nexus_release.steps.render import RenderIn, RenderOut, render
from nexus_release.trust.statement import statement_digest
from nexus_release.verify import verify
from nexus_release.wiring import Connections, Tools

from ..support.releases import keep_signed, make_record, plant_environments
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT
from ..support.signing import COMPANY, STRANGER, SUCCESSOR, key_files, public, trust
from ..support.typed_page import typed

MODEL = "pydoc-chat"
RECORD = make_record(MODEL, 1)
CONTENT = RECORD.content


class OneVersion:
    """A registry that has registered every release as version 1."""

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        raise AssertionError("these steps register nothing")

    def find(self, model: str, release: str) -> RegisteredVersion:
        return RegisteredVersion(version=1, run="run-1", uri=f"models:/{model}/1", logged_model="m-7")


class Machine:
    """One that carries the release to an environment, with a store that every key in `keys` has signed it in."""

    def __init__(self, remote: Remote, folder: Path, *keys: str) -> None:
        self.remote = remote
        self.connections = Connections(work=folder.as_uri(), registry="", remote=str(remote.path))
        self.tools = Tools(self.connections)
        self.tools.__dict__["registry"] = OneVersion()  # in place of MLflow, which has tests of its own
        self.statement = statement_digest(CONTENT)
        for key in keys:
            self.sign(key)

    def sign(self, key: str) -> None:
        keep_signed(CONTENT, Tools(self.connections.model_copy(update={"signing_key": key})))

    def render(self, environment: str) -> RenderOut:
        text = content_json(CONTENT).decode()
        asked = {"environment": environment, "model": MODEL, "release": release_id(CONTENT), "content": text}
        return render(RenderIn(**asked, statement=self.statement), self.tools)

    def propose(self, environment: str, rendered: RenderOut) -> ProposeOut:
        text = content_json(CONTENT).decode()
        asked = {"environment": environment, "model": MODEL, "release": release_id(CONTENT), "content": text}
        return propose(ProposeIn(**asked, diff=rendered.diff), self.tools)

    def entry(self, digest: str) -> Path:
        return self.tools.work / "store" / "sha256" / digest.removeprefix("sha256:")

    def trust(self, *keys: str) -> None:
        """A person's commit that has dev trust these keys and no others."""
        settings = self.remote.file("environments/dev/settings.yaml").decode()
        self.remote.commit(dict(key_files("dev", settings, *keys)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """dev trusts the company; nobody has said anything of staging."""

    def plant(root: Path) -> None:
        plant_house(root)
        trust(root, "dev", COMPANY)

    return Remote(tmp_path_factory.mktemp("house"), plant)


@pytest.fixture
def remote(house: Remote, tmp_path: Path) -> Remote:
    return Remote.copied(house, tmp_path)


@pytest.fixture
def machine(remote: Remote, tmp_path: Path) -> Machine:
    return Machine(remote, tmp_path / "work", COMPANY)


def test_a_release_that_the_company_signed_is_proposed_and_shown_with_its_job(remote: Remote, machine: Machine) -> None:
    done = machine.propose("dev", machine.render("dev"))
    name = f"{MODEL}-{release_id(CONTENT)[:8]}-verify"
    job = yaml.safe_load(remote.file(f"gitops/dev/{MODEL}/{name}.yaml", commit=done.branch))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert f"--statement={machine.statement}" in container["args"]
    assert {"name": "NEXUS_TRUSTED_KEYS", "value": public(COMPANY).pem} in container["env"]


@pytest.mark.parametrize(
    ("keys", "environment", "told"),
    [
        ([STRANGER], "dev", f"signed by {public(STRANGER).fingerprint[:12]}"),
        (["", COMPANY], "staging", "staging trusts no key"),
        ([COMPANY], "local", "accepts this machine's own key, and it has none"),
    ],
    ids=["another's key", "no key is trusted", "the company's key on a laptop"],
)
def test_nothing_is_rendered_that_nobody_trusted_has_signed(
    remote: Remote, tmp_path: Path, keys: list[str], environment: str, told: str
) -> None:
    before = remote.refs()
    with pytest.raises(SignatureRefused, match=told):
        Machine(remote, tmp_path / "work", *keys).render(environment)
    assert remote.refs() == before


def test_nothing_is_rendered_that_was_not_signed_at_all(remote: Remote, machine: Machine) -> None:
    shutil.rmtree(machine.tools.work / "store" / "signatures")
    with pytest.raises(SignatureRefused, match="signed by nobody"):
        machine.render("dev")
    shutil.rmtree(machine.entry(machine.statement))
    with pytest.raises(Missing):
        machine.render("dev")


@pytest.mark.parametrize("part", ["artifact", "bill of materials", "statement"])
def test_nothing_is_rendered_or_proposed_whose_bytes_have_changed(remote: Remote, machine: Machine, part: str) -> None:
    rendered, before = machine.render("dev"), remote.refs()
    digest = {
        "artifact": CONTENT.artifact.digest,
        "bill of materials": CONTENT.bill_of_materials,
        "statement": machine.statement,
    }[part]
    next(machine.entry(digest).iterdir()).write_text("changed")
    with pytest.raises(DigestMismatch):
        machine.render("dev")
    with pytest.raises(DigestMismatch):
        machine.propose("dev", rendered)
    assert remote.refs() == before


def test_a_key_that_is_revoked_after_the_rendering_proposes_nothing(remote: Remote, machine: Machine) -> None:
    rendered = machine.render("dev")
    machine.trust(SUCCESSOR)
    before = remote.refs()
    with pytest.raises(SignatureRefused, match="not signed by it"):
        machine.propose("dev", rendered)
    assert remote.refs() == before


def test_while_a_key_is_rotated_the_same_release_is_the_same_proposal(remote: Remote, machine: Machine) -> None:
    machine.trust(SUCCESSOR, COMPANY)
    done = machine.propose("dev", machine.render("dev"))
    before = remote.refs()
    machine.sign(SUCCESSOR)
    assert machine.propose("dev", machine.render("dev")) == done
    assert remote.refs() == before, "a signature more changes nothing in Git"


def test_another_machine_with_another_signature_makes_the_same_proposal(
    remote: Remote, machine: Machine, tmp_path: Path
) -> None:
    done, before = machine.propose("dev", machine.render("dev")), remote.refs()
    other = Machine(remote, tmp_path / "other", COMPANY)
    assert other.propose("dev", other.render("dev")) == done
    assert remote.refs() == before


def test_an_environment_that_checks_nothing_says_so_and_still_proves_the_bytes(remote: Remote, tmp_path: Path) -> None:
    path = "environments/dev/settings.yaml"
    settings = yaml.safe_load(remote.file(path)) | {"signatures": {"accept": "unchecked", "keys": []}}
    remote.commit({path: yaml.safe_dump(settings)})
    machine = Machine(remote, tmp_path / "work", STRANGER)
    rendered = machine.render("dev")
    assert not [changed for changed in rendered.changed if changed.endswith("-verify.yaml")]
    next(machine.entry(CONTENT.artifact.digest).iterdir()).write_text("changed")
    with pytest.raises(DigestMismatch):
        machine.propose("dev", rendered)


def signed_again(machine: Machine, monkeypatch: pytest.MonkeyPatch, key: str, *words: str) -> Result:
    monkeypatch.setenv("NEXUS_WORK", machine.connections.work)
    monkeypatch.setenv("NEXUS_SIGNING_KEY", key)
    return CliRunner().invoke(sign_command, [*words, "--remote", machine.connections.remote])


@pytest.fixture
def standing(remote: Remote, machine: Machine) -> Machine:
    """The release has a record on main."""
    remote.record(RECORD)
    return machine


def test_a_key_is_replaced_without_another_record(
    standing: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "old.pem").write_text(public(COMPANY).pem)
    before = standing.remote.refs()
    words = ("--all", "--signed-by", str(tmp_path / "old.pem"))
    tried = signed_again(standing, monkeypatch, SUCCESSOR, *words, "--dry-run", "--json")
    assert json.loads(tried.output) == [
        {
            "release": release_id(CONTENT),
            "model": CONTENT.model,
            "key": public(SUCCESSOR).fingerprint,
            "signed": False,
        }
    ]
    assert public(SUCCESSOR).fingerprint not in standing.tools.signatures.of(standing.statement)
    done = signed_again(standing, monkeypatch, SUCCESSOR, *words)
    assert done.exit_code == 0, done.output
    assert public(SUCCESSOR).fingerprint in done.output
    assert standing.remote.refs() == before
    standing.trust(SUCCESSOR)
    assert standing.render("dev")


def test_what_another_has_signed_is_not_signed_again_by_the_way(
    standing: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stranger.pem").write_text(public(STRANGER).pem)
    words = ("--all", "--signed-by", str(tmp_path / "stranger.pem"))
    assert isinstance(signed_again(standing, monkeypatch, SUCCESSOR, *words).exception, SignatureRefused)
    assert public(SUCCESSOR).fingerprint not in standing.tools.signatures.of(standing.statement)


def test_after_a_key_was_lost_a_person_answers_anew(standing: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(standing.tools.work / "store" / "signatures")
    asked = signed_again(standing, monkeypatch, SUCCESSOR, release_id(CONTENT)[:12])
    assert isinstance(asked.exception, BadInput), "nobody signs for an unproved record without saying so"
    done = signed_again(standing, monkeypatch, SUCCESSOR, release_id(CONTENT)[:12], "--anew")
    assert done.exit_code == 0, done.output
    standing.trust(SUCCESSOR)
    assert standing.render("dev")


def findings(machine: Machine) -> dict[str, tuple[str, str]]:
    """Subject -> state and detail, of what `nexus verify` says of signatures and of the bill of materials."""
    tools = machine.tools
    found = verify(tools.repository, tools.store, tools.signatures, None, None).findings
    return {one.subject: (one.state, one.detail) for one in found if one.link in ("signature", "bill")}


def signature(machine: Machine, digest: str, key: str) -> str:
    return f"signatures/{digest.removeprefix('sha256:')}/{public(key).fingerprint}.json"


def test_verify_proves_both_signatures_and_the_bill(standing: Machine) -> None:
    assert {subject: state for subject, (state, _) in findings(standing).items()} == {
        CONTENT.bill_of_materials: "holds",
        signature(standing, standing.statement, COMPANY): "holds",
        signature(standing, CONTENT.artifact.digest, COMPANY): "holds",
    }


def test_what_the_page_says_to_type_proves_the_release_and_one_signature(standing: Machine, tmp_path: Path) -> None:
    keys = tmp_path / "environments" / "keys"
    keys.mkdir(parents=True)
    for folder in (keys, tmp_path):
        (folder / "2026.pem").write_text(public(COMPANY).pem)
    store = standing.tools.work / "store"
    here = {
        "/mnt/store": str(store),
        "STORE/": f"{store}/",
        "--release ID": f"--release {release_id(CONTENT)}",
        "sha256:...": standing.statement,
        "HEX": CONTENT.artifact.digest.removeprefix("sha256:"),
        "FINGERPRINT": public(COMPANY).fingerprint,
    }
    typed(__file__, "docs/how-to/sign-and-verify-models.md", here, tmp_path)


@pytest.mark.parametrize("of", ["artifact", "statement"])
def test_verify_names_a_signature_with_a_changed_byte(standing: Machine, of: str) -> None:
    digest = CONTENT.artifact.digest if of == "artifact" else standing.statement
    name = signature(standing, digest, COMPANY)
    path = standing.tools.work / "store" / name
    path.write_bytes(path.read_bytes().replace(b'"sig":"ME', b'"sig":"MF'))
    assert findings(standing)[name][0] == "lies"


def test_verify_names_the_bill_and_what_is_no_longer_what_was_signed(standing: Machine) -> None:
    for digest in (CONTENT.bill_of_materials, standing.statement):
        next(standing.entry(digest).iterdir()).write_text("changed")
    found = findings(standing)
    assert found[CONTENT.bill_of_materials][0] == "lies"
    state, detail = found[f"signatures/{standing.statement.removeprefix('sha256:')}"]
    assert (state, "content.json differs" in detail) == ("lies", True)


def test_verify_says_whose_signature_nobody_trusts(standing: Machine) -> None:
    standing.trust(SUCCESSOR)
    found = findings(standing)
    state, detail = found[f"signatures/{standing.statement.removeprefix('sha256:')}"]
    assert (state, public(COMPANY).fingerprint[:12] in detail) == ("unproved", True)
    standing.sign(SUCCESSOR)
    assert {state for state, _ in findings(standing).values()} == {"holds"}


def settings_with(tmp_path: Path, environment: str, **signatures: object) -> Settings:
    plant_environments(tmp_path)
    path = tmp_path / "environments" / environment / "settings.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "signatures": signatures}))
    return load_settings(tmp_path, environment)


@pytest.mark.parametrize(
    ("environment", "signatures", "told"),
    [
        ("dev", {"accept": "own"}, "a cluster has no key of its own"),
        ("local", {"accept": "own", "keys": ["keys/a.pem"]}, "keys count for nothing"),
        ("dev", {"accept": "unchecked", "keys": ["keys/a.pem"]}, "keys count for nothing"),
        ("dev", {"accept": "everybody"}, "'trusted', 'own' or 'unchecked'"),
        ("dev", {"keys": ["../../etc/key.pem"]}, r"signatures\.keys\.0"),
        ("dev", {"keys": ["/etc/key.pem"]}, r"signatures\.keys\.0"),
        ("dev", {"keys": ["keys/a.txt"]}, r"signatures\.keys\.0"),
        ("dev", {"key": "keys/a.pem"}, "known here: accept, keys"),
    ],
)
def test_settings_that_would_be_misread_are_refused(
    tmp_path: Path, environment: str, signatures: dict[str, object], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        settings_with(tmp_path, environment, **signatures)


def test_a_trusted_key_that_is_not_there_is_named(remote: Remote, machine: Machine) -> None:
    path = "environments/dev/settings.yaml"
    settings = yaml.safe_load(remote.file(path)) | {"signatures": {"accept": "trusted", "keys": ["keys/gone.pem"]}}
    remote.commit({path: yaml.safe_dump(settings)})
    with pytest.raises(Exception, match=r"keys/gone\.pem: no such key"):
        machine.render("dev")


def test_what_is_committed_trusts_nobody_in_a_cluster_until_somebody_is_named() -> None:
    accepted = {name: load_settings(ROOT, name).signatures for name in ("dev", "staging", "prod", "local")}
    assert {name: (one.accept, one.keys) for name, one in accepted.items()} == {
        **dict.fromkeys(("dev", "staging", "prod"), ("trusted", ())),
        "local": ("own", ()),
    }
