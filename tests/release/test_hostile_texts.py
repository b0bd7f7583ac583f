"""Free text of people, files and servers: it is refused where it is written down, and harmless where it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from nexus_release.adapters.git import GitRepository
from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput
from nexus_release.manifests.objects import application
from nexus_release.manifests.tree import load_inputs, render
from nexus_release.plan import admitted
from nexus_release.ports import Commit, RegisteredVersion
from nexus_release.record import content_json, record_path, record_text, release_id
from nexus_release.steps.render import RenderIn
from nexus_release.steps.render import render as render_step
from nexus_release.wiring import Connections, Tools

from ..support.command import Nexus
from ..support.laptop import NotedRegistry
from ..support.releases import make_pointer, make_record, plant_environments, plant_plan, plant_record, plant_repository
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT

TEXTS = {
    "colour": "\x1b[31mred", "cursor": "\x1b[2J\x1b[H", "title": "\x1b]0;owned\x07", "link": "\x1b]8;;http://x\x1b\\a",
    "C1 sequence": "a\x9b2Jb", "bell": "a\x07", "backspace": "ok\x08\x08no", "carriage return": "good\rbad",
    "newline": "a\nnexus: all is well", "trailer": "a\n\nNexus-Model: other", "document": "a\n---\nkind: Secret",
    "next line": "a\x85b", "line separator": "a\u2028b", "vertical tab": "a\x0bb", "form feed": "a\x0cb",
    "DEL": "a\x7fb",
    "bidi override": "exe.\u202etxt", "bidi isolate": "a\u2067b", "zero width": "pay\u200bpal", "soft hyphen": "a\xadb",
    "byte order mark": "\ufeffa", "tag characters": "a\U000e0041", "private use": "a\ue000", "too long": "a" * 2001,
    "tab": "a\tb", "no character": "a\ufffe",
}  # fmt: skip

TAME = (
    "Ünïcode 안녕 \U0001f600",
    "a: b #c",
    "$(id) `id`",
    "{{ 7*7 }}",
    "- a",
    "'\"\\",
    "!!python/none",
    "null",
    "&a *a",
)


@pytest.fixture
def nexus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nexus:
    """In an empty folder, whose remote is not there yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXUS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NEXUS_REMOTE", str(tmp_path / "remote.git"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return Nexus(monkeypatch, capsys)


def spec(folder: Path, **fields: object) -> None:
    (folder / "spec.yaml").write_text(yaml.dump({"model": "chat", "dataset": "d.jsonl", **fields}), encoding="utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_a_release_is_not_asked_for_in_such_text(nexus: Nexus, tmp_path: Path, name: str) -> None:
    text = TEXTS[name]
    spec(tmp_path, dataset=text)
    told = nexus("release", "spec.yaml", "--root", str(ROOT))
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert told.err.startswith(f"nexus: spec.yaml: dataset: {ascii(text)[:100]}")
    spec(tmp_path)
    told = nexus("release", "spec.yaml", "--root", str(ROOT), "--dataset", text)
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert told.err.startswith(f"nexus: release: dataset: {ascii(text)[:100]}")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", [name for name in TEXTS if "\n" not in TEXTS[name] and name != "too long"])
def test_a_base_model_is_not_named_in_such_text(nexus: Nexus, tmp_path: Path, name: str) -> None:
    spec(tmp_path, train={"base": TEXTS[name]})
    told = nexus("release", "spec.yaml", "--root", str(ROOT))
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert told.err.startswith(f"nexus: spec.yaml: train.base: {TEXTS[name]!a}")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", TEXTS)
def test_no_record_holds_such_text(tmp_path: Path, name: str) -> None:
    record = make_record("chat", 1)
    content = json.loads(content_json(record.content)) | {"base_source": TEXTS[name]}
    asked = {"environment": "local", "model": "chat", "release": "0" * 64, "content": json.dumps(content)}
    asked["statement"] = f"sha256:{0:064}"
    (tmp_path / "in.json").write_text(json.dumps(asked))
    remote = Remote(tmp_path, lambda root: (root / "README.md").write_text("hello\n"))
    tools = Tools(Connections(work=(tmp_path / "w").as_uri(), registry="http://127.0.0.1:9", remote=str(remote.path)))
    with pytest.raises(BadInput, match=r"content: base_source") as refused:
        render_step(RenderIn.model_validate(asked), tools)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_registry_answers_is_not_recorded_in_such_text(tmp_path: Path, name: str) -> None:
    class Talkative(NotedRegistry):
        def find(self, model: str, release: str) -> RegisteredVersion | None:
            return RegisteredVersion(version=1, run=TEXTS[name], uri="models:/chat/1", logged_model="m-1")

    content = make_record("chat", 1).content
    remote = Remote(tmp_path, lambda root: (root / "README.md").write_text("hello\n"))
    tools = Tools(Connections(work=(tmp_path / "w").as_uri(), registry="http://127.0.0.1:9", remote=str(remote.path)))
    tools.__dict__["registry"] = Talkative()  # in place of MLflow
    given = RenderIn(
        environment="local",
        model="chat",
        release=release_id(content),
        content=content_json(content).decode(),
        statement=f"sha256:{0:064}",
    )
    with pytest.raises(BadInput, match=r"record: observed\.run") as refused:
        render_step(given, tools)
    assert str(refused.value).isprintable()
    assert remote.refs().keys() == {"main"}


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "too long"])
def test_no_commit_says_such_text(tmp_path: Path, name: str) -> None:
    remote = Remote(tmp_path, lambda root: (root / "README.md").write_text("hello\n"))

    def edit(clone: Path) -> list[str]:
        (clone / "a").write_text("a")
        return ["a"]

    for commit in (Commit("Message", {"Nexus-Model": TEXTS[name]}, edit), Commit(TEXTS[name], {}, edit)):
        with pytest.raises(BadInput, match="one line of printable"):
            GitRepository(str(remote.path)).propose("b", [commit], check=lambda *_: None, lands=lambda _: True)
    assert remote.subjects() == ["Start"]


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "too long"])
def test_settings_in_such_text_are_refused(nexus: Nexus, tmp_path: Path, name: str) -> None:
    plant_environments(tmp_path)
    path = tmp_path / "environments/dev/settings.yaml"
    for change in (
        {"gpu": {"node_selector": {"pool": TEXTS[name]}}},
        {"gpu": {"node_selector": {TEXTS[name]: "a"}}},
        {"gpu": {"tolerations": [{"key": TEXTS[name], "operator": "Exists", "effect": "NoSchedule"}]}},
        {"domain": TEXTS[name]},
        {"artifacts": f"pvc://{TEXTS[name]}"},
    ):
        path.write_text(yaml.dump({**yaml.safe_load((ROOT / path.relative_to(tmp_path)).read_text()), **change}))
        told = nexus("render", "dev")
        assert told.status == 2
        assert told.err.startswith("nexus: environments/dev/settings.yaml")
    assert not (tmp_path / "gitops").exists()


@pytest.mark.parametrize("name", TEXTS)
def test_a_terminal_is_shown_no_such_text(nexus: Nexus, tmp_path: Path, name: str) -> None:
    """The fixture holds every line of what is said to be printable."""
    text = TEXTS[name][:200].replace("/", "|")
    assert nexus("release", f"{text}.yaml").status == 1
    told = nexus("promote", "chat", "--remote", text)
    assert (told.status, told.err.count("\n")) == (1, 1)
    assert nexus(text).status == 2
    assert nexus("promote", "chat", f"--{text}").status == 2
    assert nexus("step", text, "--in", str(ROOT / "README.md"), "--out", "o").status == 2
    plant_repository(tmp_path, "dev", "first")
    (tmp_path / "gitops/dev" / f"{text}.yaml").write_text("a: 1\na: 2\n")
    told = nexus("render", "dev", "--check")
    assert (told.status, "the key a again" in told.err) == (1, True)
    (tmp_path / "gitops/dev" / text).write_text("")
    assert nexus("render", "dev", "--check").status == 1
    (tmp_path / "before").mkdir()
    told = nexus("check", "before", ".", "--env", "dev")
    assert (told.status, "\nnexus: all is well" in told.err) == (1, False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    remote = Remote(tmp_path_factory.mktemp("recorded"), plant_house)
    remote.record(make_record("chat", 1))
    return remote


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "too long"])
def test_a_person_s_commit_message_is_shown_without_such_text(
    recorded: Remote, nexus: Nexus, tmp_path: Path, name: str
) -> None:
    plan = admitted(None, "chat", make_pointer(make_record("chat", 1)))
    commit = Remote.copied(recorded, tmp_path).plan(plan, TEXTS[name])
    told = nexus("explain", "chat")
    assert (told.status, commit in told.out) == (0, True)
    assert json.loads(nexus("explain", "chat", "--json").out)


@pytest.mark.parametrize("text", TAME)
def test_other_text_is_carried_as_it_is(text: str) -> None:
    record = make_record("chat", 1)
    content = record.content.model_copy(update={"base_source": text})
    kept = type(record).model_validate_json(record_text(record.model_copy(update={"content": content})))
    assert kept.content.base_source == text
    assert yaml.safe_load(yaml_text({"a": text})) == {"a": text}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: A\nkind: B\n", "the key kind again"),
        ("kind: A\n---\nkind: B\n", "another document"),
        ("a: &x 1\nb: *x\n", "an alias"),
    ],
)
def test_a_check_refuses_yaml_that_hides_a_value(nexus: Nexus, tmp_path: Path, text: str, says: str) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for root in (before, after):
        root.mkdir()
        plant_repository(root, "dev", "first")
    (after / "gitops/argocd").mkdir()
    (after / "gitops/argocd/app.yaml").write_text(text)
    assert says in nexus("check", "before", "after", "--env", "dev").err
    told = nexus("render", "dev", "--check", "--root", "after")
    assert (told.status, says in told.err, "gitops/argocd/app.yaml" in told.err) == (1, True, True)


def test_a_record_that_says_a_key_twice_may_not_land(nexus: Nexus, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for root in (before, after):
        root.mkdir()
        plant_repository(root, "dev", "first")
    record = make_record("chat", 1)
    path = after / record_path("chat", release_id(record.content))
    path.parent.mkdir(parents=True)
    path.write_text(record_text(record))
    assert nexus("check", "before", "after", "--env", "dev").status == 0
    path.write_text(record_text(record).replace('"run": ', '"run": "what a person reads", "run": '))
    assert "stands twice" in nexus("check", "before", "after", "--env", "dev").err


def test_an_environment_is_no_pattern_of_paths(nexus: Nexus, tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        plant_house(tmp_path / name)
    for environment in (".*", "(", "dev|.*"):
        assert nexus("check", "before", "after", "--env", environment).status == 2


def test_an_object_that_no_api_server_takes_is_refused(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    many = {f"label-{number}": "x" * 60 for number in range(11_000)}
    for path in ("environments/base.yaml", "environments/dev/settings.yaml"):
        document = yaml.safe_load((tmp_path / path).read_text())
        document["gpu"] = {**document.get("gpu", {}), "node_selector": {f"{path[13]}.{key}": many[key] for key in many}}
        (tmp_path / path).write_text(yaml_text(document))
    assert render(load_inputs(tmp_path, "dev"))
    with pytest.raises(BadInput, match=r"dev/chat/.*object: '\d+ bytes' is refused: Kubernetes takes 1572864"):
        plant_plan(tmp_path, "dev", admitted(None, "chat", plant_record(tmp_path, make_record("chat", 1))))


@pytest.mark.parametrize(("length", "fits"), [(256 * 1024 - 1, True), (256 * 1024, False)])
def test_annotations_are_bounded_together(length: int, fits: bool) -> None:
    annotations = {"k": "x" * (length // 2), "": "x" * (length - length // 2)}
    body: dict[str, object] = {"kind": "A", "metadata": {"name": "a", "annotations": annotations}}
    if fits:
        assert application("folder", {"a.yaml": body})
    else:
        with pytest.raises(BadInput, match=r"folder/a\.yaml: annotations: '262145 bytes' is refused: .*262144"):
            application("folder", {"a.yaml": body})


@pytest.mark.parametrize("name", ["colour", "bidi override", "zero width", "soft hyphen"])
def test_what_a_remote_says_is_shown_without_such_text(
    recorded: Remote, nexus: Nexus, tmp_path: Path, name: str
) -> None:
    remote = Remote.copied(recorded, tmp_path)
    first = admitted(None, "chat", make_pointer(make_record("chat", 1)))
    remote.plan(admitted(first, "chat", remote.record(make_record("chat", 2))))
    remote.hook("pre-receive", f"printf '%s\\n' 'no: {TEXTS[name]}' >&2; exit 1")
    told = nexus("promote", "chat")
    assert (told.status, told.err.count("\n"), "no: " in told.err) == (1, 1, True)
