"""What is public keeps its promise: a break since the last release is named, unless the version says it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.repository import ROOT

PUBLIC = (
    "gateway/openapi.json",
    "gateway/routes.schema.json",
    "gateway/log.schema.json",
    "gateway/audit.schema.json",
    "environments/schema.json",
    "gitops/record.schema.json",
    "docs/reference/cli.md",
    "docs/reference/settings.md",
)


class Project:
    """A repository with the public files of this one, whose release is v0.1.0."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in (*PUBLIC, "pyproject.toml"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes((ROOT / path).read_bytes())
        project = (root / "pyproject.toml").read_text()
        (root / "pyproject.toml").write_text(re.sub(r'(?m)^version = ".*"$', 'version = "0.1.0"', project))
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=all")

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        subprocess.run(["git", *who, *words], cwd=self.root, check=True, capture_output=True)

    def change(self, path: str, change: Callable[[Any], object]) -> None:
        document = json.loads((self.root / path).read_text())
        change(document)
        (self.root / path).write_text(json.dumps(document))

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))

    def check(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ROOT / "ops/compatibility/check_public.py", self.root]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.git("tag", "v0.1.0")
    return made


def test_what_is_as_it_was_passes(project: Project) -> None:
    done = project.check()
    assert (done.returncode, done.stdout) == (0, "public: all that v0.1.0 had is there\n")


def test_without_a_release_nothing_is_promised_and_that_is_said(tmp_path: Path) -> None:
    done = Project(tmp_path).check()
    assert (done.returncode, done.stdout) == (0, "public: no release yet, so nothing has been promised\n")


def without(*keys: str) -> Callable[[Any], object]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


def needs(*keys: str) -> Callable[[Any], object]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document.setdefault("required", []).append(keys[-1])

    return change


BREAKS = [
    ("gateway/openapi.json", without("paths", "/v1/rerank"), "/paths//v1/rerank is gone"),
    ("gateway/openapi.json", without("paths", "/v1/models", "get"), "/paths//v1/models/get is gone"),
    ("gateway/openapi.json", without("components", "headers", "x-nexus-release"), "x-nexus-release is gone"),
    ("gateway/openapi.json", needs("components", "schemas", "Asked", "user"), "Asked/user is needed now"),
    ("environments/schema.json", without("$defs", "Settings", "properties", "retain"), "properties/retain is gone"),
    ("gitops/record.schema.json", without("$defs", "Content", "properties", "base"), "properties/base is gone"),
]


@pytest.mark.parametrize(("path", "change", "said"), BREAKS, ids=[said for _, _, said in BREAKS])
def test_a_break_is_named(project: Project, path: str, change: Callable[[Any], object], said: str) -> None:
    project.change(path, change)
    done = project.check()
    assert done.returncode == 1
    assert any(line.startswith(f"{path}: ") and line.endswith(said) for line in done.stderr.splitlines()), done.stderr
    assert "raise the version in pyproject.toml" in done.stderr


def settings_of(section: str, **words: Any) -> Callable[[Any], object]:
    """Puts words into the schemas of a section's settings."""

    def change(document: Any) -> None:
        for name, said in words.items():
            document["$defs"][section]["properties"][name] |= said

    return change


FORMS = [
    (settings_of("GatewaySettings", image={"anyOf": [{"type": "string"}]}), "image takes null no more"),
    (settings_of("GatewaySettings", image={"anyOf": [{"type": "null"}]}), "image takes string no more"),
    (settings_of("GatewayReplicas", minimum={"multipleOf": 1, "maxItems": 3}), "minimum has maxItems 3 now"),
    (settings_of("SecretStore", name={"pattern": "^x"}), "name has the pattern ^x now"),
    (settings_of("Prices", currency={"enum": ["EUR"]}), "currency takes EUR alone now"),
    (settings_of("GatewaySettings", variables={"additionalProperties": False}), "takes no other names any more"),
]


@pytest.mark.parametrize(("change", "said"), FORMS, ids=[said for _, said in FORMS])
def test_a_form_that_is_refused_now_is_a_break(project: Project, change: Callable[[Any], object], said: str) -> None:
    project.change("environments/schema.json", change)
    assert any(line.endswith(said) for line in project.check().stderr.splitlines()), project.check().stderr


def test_a_form_more_and_another_order_break_nobody(project: Project) -> None:
    def change(document: Any) -> None:
        own = document["$defs"]["GatewaySettings"]["properties"]
        own["image"]["anyOf"] = [{"type": "boolean"}, *reversed(own["image"]["anyOf"])]
        plain = own["drain_seconds"]
        own["drain_seconds"] = {"anyOf": [{"type": "null"}, plain]}

    project.change("environments/schema.json", change)
    assert project.check().returncode == 0, project.check().stderr


def test_a_value_that_is_taken_no_more_is_a_break(project: Project) -> None:
    def change(document: Any) -> None:
        document["$defs"]["Settings"]["properties"]["landing"]["enum"].remove("review")

    project.change("environments/schema.json", change)
    assert "landing takes `review` no more" in project.check().stderr


def test_a_word_and_an_option_that_are_gone_are_breaks(project: Project) -> None:
    project.replace("docs/reference/cli.md", "### nexus bom\n", "### nexus parts\n")
    project.replace("docs/reference/cli.md", "| `--dry-run`", "| `--only-say`")
    done = project.check()
    assert done.returncode == 1
    assert "docs/reference/cli.md: `nexus bom` is gone" in done.stderr
    assert "docs/reference/cli.md: `nexus release --dry-run` is gone" in done.stderr


def test_a_variable_that_is_gone_is_a_break_and_another_default_is_none(project: Project) -> None:
    project.replace(
        "docs/reference/settings.md", "| `GATEWAY_JWT_LEEWAY_SECONDS` | 30 |", "| `GATEWAY_JWT_SLACK` | 60 |"
    )
    project.replace(
        "docs/reference/settings.md",
        "| `GATEWAY_IDEMPOTENCY_ENTRIES` | 10000 |",
        "| `GATEWAY_IDEMPOTENCY_ENTRIES` | 9 |",
    )
    done = project.check()
    assert done.returncode == 1
    assert "docs/reference/settings.md: `GATEWAY_JWT_LEEWAY_SECONDS` is gone" in done.stderr
    assert "GATEWAY_IDEMPOTENCY_ENTRIES" not in done.stderr


def test_what_is_added_breaks_nobody(project: Project) -> None:
    def change(document: Any) -> None:
        document["$defs"]["Settings"]["properties"]["colour"] = {"type": "string"}

    project.change("environments/schema.json", change)
    assert project.check().returncode == 0


@pytest.mark.parametrize(("version", "may"), [("0.1.1", False), ("0.2.0", True), ("1.0.0", True)])
def test_a_version_that_says_so_may_break(project: Project, version: str, may: bool) -> None:
    project.change("gateway/openapi.json", without("paths", "/v1/rerank"))
    project.replace("pyproject.toml", 'version = "0.1.0"', f'version = "{version}"')
    done = project.check()
    assert done.returncode == (0 if may else 1)
    assert "/paths//v1/rerank is gone" in done.stdout + done.stderr


def test_from_1_0_a_minor_step_may_not_break(project: Project) -> None:
    project.replace("pyproject.toml", 'version = "0.1.0"', 'version = "1.4.0"')
    project.git("commit", "--all", "--quiet", "--message=1.4")
    project.git("tag", "v1.4.0")
    project.change("gateway/openapi.json", without("paths", "/v1/rerank"))
    project.replace("pyproject.toml", 'version = "1.4.0"', 'version = "1.5.0"')
    assert project.check().returncode == 1
