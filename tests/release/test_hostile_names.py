"""Names that are no names are refused before anything happens; those that only look like trouble are carried as they
are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_release.config import load_settings
from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput
from nexus_release.manifests.tree import Inputs, render, service_path
from nexus_release.names import model_slug, service_name
from nexus_release.plan import admitted, parse_plan, plan_path, plan_text, read_plan
from nexus_release.proposals import admission_branch
from nexus_release.record import parse_record, record_path, record_text

from ..support.command import Nexus, Told
from ..support.kustomize import kustomize
from ..support.releases import make_pointer, make_record, plant_environments, plant_record
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT
from ..support.web import Reply, Web, serve

GIVEN = {"environment": "local", "dataset": "d.jsonl", "declaration": None, "gate": {}}
"""What `validate` is given, but for its model."""
HOSTILE: dict[str, str] = {
    "empty": "", "space": " ", "spaces inside": "a b", "space before": " a", "space after": "a ", "tab": "a\tb",
    "newline": "a\nb", "newline after": "chat\n", "carriage return": "a\rb", "NUL": "a\0b", "bell": "a\x07b",
    "escape sequence": "\x1b[31mred\x1b[0m", "C1 sequence": "a\x9b31mb", "DEL": "a\x7fb", "no-break space": "a\xa0b",
    "next line": "a\x85b", "line separator": "a\u2028b", "129 characters": "a" * 129, "a million": "a" * 10**6,
    "129 in parts": "a/" * 64 + "a", "command": "$(touch pwned)", "command after": "chat$(id)", "backticks": "`id`",
    "semicolon": "chat;id", "pipe": "chat|id", "ampersand": "chat&&id", "redirection": "chat>out", "glob": "chat*",
    "braces": "{a,b}", "quote": "a'b", "double quote": 'a"b', "backslash": "a\\b", "above": "../etc",
    "above alone": "..", "above inside": "a/../b", "far above": "../../../../etc/passwd", "here": ".",
    "absolute": "/etc/passwd", "Windows path": "C:\\Windows", "home": "~", "home of another": "~root/x",
    "slash after": "a/", "two slashes": "a//b", "option": "--upload-pack=touch pwned",
    "short option": "-oProxyCommand=id", "dash": "-", "dots": "a..b", "range": "main..other", "reflog": "main@{1}",
    "parent": "HEAD^", "ancestor": "HEAD~1", "refspec": "+a:b", "only .lock": ".lock", "dot after": "a.",
    "dot before": ".a", "slash dot": "a/.b", "colon pair": "a::b", "percent": "%2e%2e%2fetc", "percent NUL": "a%00b",
    "URL": "http://evil.example/x", "file URL": "file:///etc/passwd", "helper URL": "ext::sh -c id", "query": "a?b=c",
    "fragment": "a#b", "Jinja": "{{ 7*7 }}", "shell variable": "${HOME}", "ERB": "<%= 1 %>", "format": "{0.__class__}",
    "percent format": "%s%n", "YAML tag": "!!python/object:os.system", "YAML anchor": "&a", "YAML alias": "*a",
    "YAML mapping": "a: b", "YAML comment": "a #b", "YAML document": "---", "YAML end": "...", "YAML flow": "[a]",
    "YAML block": "|", "bidi override": "abc\u202edef", "bidi isolate": "a\u2066b", "zero width": "a\u200bb",
    "zero width joiner": "a\u200db", "byte order mark": "\ufeffa", "soft hyphen": "a\xadb",
    "homoglyph": "pyd\u043ec-chat", "combining": "cafe\u0301", "precomposed": "caf\xe9", "Kelvin": "1\u212a",
    "full width": "\uff41\uff42", "digits of another script": "\u0661\u0662", "long s": "cla\u017fs",
    "emoji": "\U0001f600", "flag": "\U0001f1f0\U0001f1f7", "tag characters": "a\U000e0061", "surrogate": "a\ud800",
    "other surrogate": "\udfffa", "private use": "a\ue000", "no character": "a\uffff", "underscore before": "_a",
    "at before": "@a", "hash": "#",
}  # fmt: skip

TRICKY = (
    "a/b", "a-b", "a_b", "a.b", "a:b", "a@b", "A-b", "a-B", "A-B", "A:b@c", "a--b", "a__b", "null", "Null", "NULL",
    "yes", "Yes", "no", "true", "True", "on", "off", "y", "N", "1e3", "0x1F", "0o17", "0b1", "017", "12:30", "1.0",
    "1.5e3", "123", "nan", "inf", "2026-01-01", "HEAD", "main", "refs/heads/main", "v1.lock", "con",
    "localhost:8080/a", "a" * 128, "A" * 128, "a/" * 63 + "ab", "z" * 31, "z" * 32, "org/Model-7B_v2.1:8bit@sha",
    model_slug("a/b"), model_slug("A-b"), service_name("a/b", "0" * 64), "gateway-1", "argocd",
)  # fmt: skip
"""Each is another model, and allowed."""


@dataclass
class House:
    """A remote, a registry that counts who asks, and a folder to work in."""

    remote: Remote
    registry: Web
    folder: Path
    refs: dict[str, str]

    def untouched(self, *inputs: str) -> bool:
        left = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*")}
        return left == set(inputs) and self.remote.refs() == self.refs and not self.registry.asked


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Remote, Web]]:
    remote = Remote(tmp_path_factory.mktemp("planted"), plant_house)
    with serve(lambda _: Reply()) as registry:
        yield remote, registry


@pytest.fixture
def house(planted: tuple[Remote, Web], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    remote, registry = planted
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXUS_REMOTE", str(remote.path))
    monkeypatch.setenv("NEXUS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.url)
    return House(remote, registry, tmp_path, remote.refs())


@pytest.fixture
def nexus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nexus:
    return Nexus(monkeypatch, capsys)


def refused(told: Told, field: str, value: str, mend: str) -> None:
    """One line, that any terminal may have: which field, which value, what to do."""
    assert (told.status, told.out) == (2, "")
    assert told.err.startswith("nexus: ")
    assert told.err.count("\n") == 1
    assert told.err.isascii()
    assert f"{field}: {ascii(value)[:150]}" in told.err
    assert mend in told.err


MODEL_MEND, ENVIRONMENT_MEND, RELEASE_MEND = "letters and digits", "lower-case letter", "lower-case hex digits"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_model_of_no_grammar_is_refused_by_every_command(house: House, nexus: Nexus, name: str) -> None:
    text = HOSTILE[name]
    for word in (("promote",), ("rollback",), ("canary", "--weight", "5")):
        refused(nexus(*word, "--", text), "MODEL", text, MODEL_MEND)
    refused(nexus("explain", "--", text), "WHAT", text, "a revision, a release id")
    assert house.untouched()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_model_of_no_grammar_in_a_file_is_refused_by_release_and_step(house: House, nexus: Nexus, name: str) -> None:
    text = HOSTILE[name]
    Path("spec.yaml").write_text(yaml.dump({"model": text, "dataset": "d.jsonl"}), encoding="utf-8")
    seen = text.replace("\n", "").isprintable()
    mend = "128 characters" if len(text) > 128 else MODEL_MEND if seen else "characters that can be seen"
    told = nexus("release", "spec.yaml", "--root", str(ROOT))
    if "surrogate" in name:  # half a character is no YAML: its place is told, since no field is read at all
        assert (told.status, told.err.count("\n"), "spec.yaml:2:" in told.err) == (2, 1, True)
    else:
        refused(told, "spec.yaml: model", text, mend)
    Path("in.json").write_text(json.dumps({**GIVEN, "model": text}))
    words = ("--in", "in.json", "--out", "out.json", "--work", (house.folder / "state").as_uri())
    told = nexus("step", "validate", *words)
    if "surrogate" in name:  # half a character is no JSON: no field is read at all
        assert (told.status, told.err.count("\n"), "in.json: (whole file)" in told.err) == (2, 1, True)
    else:
        refused(told, "in.json: model", text, "128 characters" if len(text) > 128 else MODEL_MEND)
    assert house.untouched("spec.yaml", "in.json")


@pytest.mark.parametrize("name", HOSTILE)
def test_an_environment_of_no_grammar_is_refused_by_every_command(house: House, nexus: Nexus, name: str) -> None:
    text = HOSTILE[name]
    Path("spec.yaml").write_text("model: chat\ndataset: d.jsonl\n")
    commands: tuple[tuple[str, ...], ...] = (
        ("promote", "chat"), ("rollback", "chat"), ("canary", "chat", "--weight", "5"), ("explain", "chat"),
        ("check", ".", "."), ("release", "spec.yaml", "--root", str(ROOT)),
    )  # fmt: skip
    for words in commands:
        refused(nexus(*words, f"--env={text}"), "environment", text, ENVIRONMENT_MEND)
    refused(nexus("render", "--root", ".", "--", text), "environment", text, ENVIRONMENT_MEND)
    assert house.untouched("spec.yaml")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "empty"])
def test_a_release_of_no_grammar_is_refused_by_every_command(house: House, nexus: Nexus, name: str) -> None:
    text = HOSTILE[name]
    for words, option in (
        (("promote", "chat"), "--release"),
        (("canary", "chat", "--weight", "5"), "--release"),
        (("rollback", "chat"), "--to"),
    ):
        refused(nexus(*words, f"{option}={text}"), option, text, RELEASE_MEND)
    asked = {"environment": "local", "model": "chat", "release": text, "record": "sha256:" + "0" * 64}
    Path("in.json").write_text(json.dumps(asked))
    told = nexus("step", "propose", "--in", "in.json", "--out", "out.json")
    assert (told.status, told.err.count("\n"), told.err.isascii()) == (2, 1, True)
    assert "in.json: release" in told.err or "surrogate" in name
    assert house.untouched("in.json")


YAML_TRICKS = {
    "object": "model: !!python/object/apply:os.system [id]\ndataset: d\n",
    "alias": "model: &a chat\ndataset: *a\n",
    "key twice": "model: chat\nmodel: other\ndataset: d\n",
    "second document": "model: chat\ndataset: d\n---\nmodel: other\ndataset: d\n",
    "merge": "<<: {model: chat}\ndataset: d\n",
    "null": "model: null\ndataset: d\n",
    "yes": "model: yes\ndataset: d\n",
    "number": "model: 017\ndataset: d\n",
    "comment": "model: #chat\ndataset: d\n",
    "list": "- model: chat\n",
    "nothing": "",
    "deep": "model: " + "[" * 5000 + "\n",
}


@pytest.mark.parametrize("name", YAML_TRICKS)
def test_a_file_that_hides_its_names_is_refused(house: House, nexus: Nexus, name: str) -> None:
    Path("spec.yaml").write_text(YAML_TRICKS[name])
    told = nexus("release", "spec.yaml", "--root", str(ROOT))
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert told.err.startswith("nexus: spec.yaml")
    assert house.untouched("spec.yaml")


def test_an_option_in_place_of_a_name_is_refused_and_not_passed_on(house: House) -> None:
    program = Path(sys.executable).parent / "nexus"
    for text in ("--upload-pack=touch pwned", "-oProxyCommand=touch pwned", "--\x1b[31m"):
        done = subprocess.run([program, "promote", text], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "\x1b" not in done.stderr
    assert house.untouched()


def rendered() -> tuple[Inputs, dict[str, str]]:
    records = {make_pointer(record).release: record for record in (make_record(model, 1) for model in TRICKY)}
    plans = {
        record.content.model: admitted(None, record.content.model, make_pointer(record)) for record in records.values()
    }
    inputs = Inputs("dev", load_settings(ROOT, "dev"), plans, records)
    return inputs, render(inputs)


def test_every_tricky_name_has_a_kubernetes_name_of_its_own() -> None:
    slugs = [model_slug(model) for model in TRICKY]
    services = [service_name(model, "0" * 64) for model in TRICKY]
    assert len(set(slugs)) == len(set(services)) == len(TRICKY)
    assert max(map(len, services)) <= 40
    for name in (*slugs, *services):
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name)


@pytest.mark.parametrize("model", TRICKY)
def test_a_tricky_name_is_carried_as_it_is(model: str, tmp_path: Path) -> None:
    inputs, files = rendered()
    release = inputs.plans[model].stable.release
    (service,) = yaml.safe_load_all(files[service_path("dev", model, release)])
    assert service["metadata"]["annotations"]["nexus.internal/model"] == model
    assert f"--served-model-name={model}" in service["spec"]["predictor"]["model"]["args"]
    (routes,) = yaml.safe_load_all(files[f"gitops/dev/gateway/routes.d/{model_slug(model)}.yaml"])
    assert list(routes["routes"]) == [model]
    jsonschema.validate(routes, json.loads((ROOT / "gateway/routes.schema.json").read_text()))
    plan, record = inputs.plans[model], inputs.records[release]
    assert parse_plan(plan_text(plan).encode(), plan_path("dev", model)) == plan
    assert parse_record(record_text(record).encode(), record_path(model, release), release) == record
    branch = admission_branch("dev", model, release)
    subprocess.run(["git", "check-ref-format", f"refs/heads/{branch}"], check=True)


def test_kustomize_reads_every_tricky_name_as_it_is(tmp_path: Path) -> None:
    """Another reader of YAML than ours: Go's, which follows YAML 1.2 in what it takes for numbers."""
    _, files = rendered()
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    slugs = sorted(model_slug(model) for model in TRICKY)
    top = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": slugs}
    (tmp_path / "gitops/dev/kustomization.yaml").write_text(yaml_text(top))
    built = subprocess.run([*kustomize(), tmp_path / "gitops/dev"], check=True, capture_output=True, text=True).stdout
    objects: list[Any] = list(yaml.safe_load_all(built))
    for kind in ("InferenceService", "Job"):
        of_kind = [body["metadata"] for body in objects if body["kind"] == kind]
        assert {one["annotations"]["nexus.internal/model"] for one in of_kind} == set(TRICKY)
        assert len({one["name"] for one in of_kind}) == len(TRICKY)


SAME_SLUG = "Two-models-with-one-slug-1197899", "Two-models-with-one-slug-1802975"
"""Found by trying two million names: equal in 20 letters, and in the first 40 bits of their hashes."""


def test_two_models_of_one_slug_are_never_taken_for_one_another(tmp_path: Path) -> None:
    one, other = SAME_SLUG
    assert model_slug(one) == model_slug(other)
    plant_environments(tmp_path)
    path = tmp_path / plan_path("dev", one)
    path.parent.mkdir()
    path.write_text(plan_text(admitted(None, one, plant_record(tmp_path, make_record(one, 1)))))
    assert read_plan(tmp_path, "dev", one)
    with pytest.raises(BadInput, match=f"{other}.*is the plan of {one}; give one of the two another name"):
        read_plan(tmp_path, "dev", other)
