"""`make images`: our images pushed and their digests proposed, by real Git and settings, with a stub for Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nexus_release.config import load_settings
from nexus_release.manifests.tree import load_inputs, render

from ..support.releases import plant_environments
from ..support.repository import ROOT, tracked_files

DIGEST = "sha256:" + "7" * 64
DOCKER = f"""#!/bin/sh
echo "docker $*" >>"$RECORD"
case "$*" in
    run*bom.cdx.json) echo "what ${{5%:*}} holds" ;;
    "image inspect"*) for last; do :; done; echo "${{last%:*}}@{DIGEST}" ;;
    "push --quiet $FAILS"*) exit 5 ;;
esac
"""
ORCHESTRATOR = """#!/bin/sh
echo "$(basename "$1") $2" >>"$RECORD"
case "$*" in *compile*) echo 'rendered: anew' ;; esac
"""


class Checkout:
    """What is checked out here, as the one commit of a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.root, self._bin, self._record = folder / "root", folder / "bin", folder / "record"
        for path in tracked_files():
            copy = self.root / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        self._bin.mkdir()
        for name, text in {"docker": DOCKER, "orchestrator": ORCHESTRATOR}.items():
            (self._bin / name).write_text(text)
            (self._bin / name).chmod(0o755)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=all")

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        command = ["git", *who, *words]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout

    def images(self, **variables: str) -> subprocess.CompletedProcess[str]:
        stub = str(self._bin / "orchestrator")
        told = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "RECORD": str(self._record),
            "NEXUS_BIN_FOLDER": str(Path(sys.executable).parent),
            "NEXUS_HERA_PYTHON": stub,
            "NEXUS_KFP_PYTHON": stub,
            "FAILS": "nothing",
            **{f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        clean = {name: value for name, value in os.environ.items() if name not in {"ENV", "IMAGE_REPO", "IMAGE_TAG"}}
        command = ["sh", self.root / "ops" / "images.sh"]
        return subprocess.run(command, env={**clean, **told, **variables}, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        return self._record.read_text().splitlines() if self._record.exists() else []

    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").split()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """For what ends before anything is changed."""
    return Checkout(tmp_path_factory.mktemp("untouched"))


def test_images_are_pushed_and_their_digests_proposed_with_what_follows_from_them(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    done = checkout.images(IMAGE_REPO="registry.test/ours", IMAGE_TAG="1.2.0", ENV="prod")
    assert done.returncode == 0, done.stderr
    pushed = [call.split()[-1] for call in checkout.calls() if call.startswith("docker push")]
    assert pushed == [f"registry.test/ours/nexus-{name}:1.2.0" for name in ("gateway", "worker", "release", "train")]
    assert done.stdout.splitlines() == [f"{one.rpartition('-')[2].partition(':')[0]} {one}@{DIGEST}" for one in pushed]
    held = {path.name: path.read_text() for path in (checkout.root / ".nexus/images").glob("*.cdx.json")}
    assert held == {
        f"{name}.cdx.json": f"what registry.test/ours/nexus-{name} holds\n"
        for name in ("gateway", "worker", "release", "train")
    }
    assert checkout.git("status", "--porcelain") == ""
    assert load_settings(checkout.root, "prod").gateway.image is None, "nothing that is checked out is changed"
    assert len(checkout.git("worktree", "list").splitlines()) == 1
    assert checkout.branches() == ["images/prod/1.2.0", "main"]
    assert checkout.git("rev-list", "--count", "main..images/prod/1.2.0").strip() == "1"
    checkout.git("checkout", "--quiet", "images/prod/1.2.0")
    settings = load_settings(checkout.root, "prod")
    assert settings.gateway.image == f"registry.test/ours/nexus-gateway:1.2.0@{DIGEST}"
    assert settings.pods.images.release == f"registry.test/ours/nexus-release:1.2.0@{DIGEST}"
    assert settings.pods.images.train == f"registry.test/ours/nexus-train:1.2.0@{DIGEST}"
    assert settings.engine_images["nexus-worker"] is None, "vLLM serves there"
    files = render(load_inputs(checkout.root, "prod"))
    assert "gitops/prod/gateway/deployment.yaml" in files
    assert {path: (checkout.root / path).read_text() for path in files} == files
    again = checkout.images(IMAGE_REPO="registry.test/ours", IMAGE_TAG="1.2.0", ENV="prod")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_an_environment_with_workflows_has_them_rendered_too(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    done = checkout.images(IMAGE_REPO="registry.test", ENV="dev")
    assert done.returncode == 0, done.stderr
    assert checkout.calls()[-2:] == ["release_hera.py dev", "release_kfp.py compile"]
    (branch,) = [name for name in checkout.branches() if name != "main"]
    assert branch.removeprefix("images/dev/") == checkout.git("rev-parse", "--short=12", "main").strip()
    assert checkout.git("show", f"{branch}:pipelines/release_kfp_kubernetes.yaml") == "rendered: anew\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "say where: make images IMAGE_REPO="),
        ({"IMAGE_REPO": "registry.test", "ENV": "nowhere"}, "no environment is called 'nowhere'"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_built(
    untouched: Checkout, variables: dict[str, str], said: str
) -> None:
    done = untouched.images(**variables)
    assert (done.returncode, said in done.stderr, untouched.calls()) == (2, True, [])


def test_what_is_no_commit_is_not_built(untouched: Checkout) -> None:
    stray = untouched.root / "gateway" / "stray.py"
    stray.touch()
    done = untouched.images(IMAGE_REPO="registry.test")
    stray.unlink()
    assert (done.returncode, untouched.calls()) == (2, [])
    assert "is no commit" in done.stderr


def test_nothing_is_proposed_of_a_push_that_failed(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    done = checkout.images(IMAGE_REPO="registry.test", ENV="prod", FAILS="registry.test/nexus-train")
    assert (done.returncode, done.stdout) == (5, "")
    assert checkout.branches() == ["main"]


def named(root: Path, lines: str, settings: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """name_images.py on an environment with these settings, and what they are then."""
    plant_environments(root)
    path = root / "environments" / "dev" / "settings.yaml"
    path.write_text(settings)
    command = [sys.executable, ROOT / "ops" / "name_images.py", root, "dev"]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False), path.read_text()


BY_HAND = """# a head
namespace: nexus-dev # ours
gateway: # its
  # why
  replicas: {minimum: 1, maximum: 2}
runtime: nexus-worker
gpu: {enabled: false}
"""


def test_every_other_line_of_the_settings_stays(tmp_path: Path) -> None:
    lines = "".join(f"{name} registry.test/{name}:1@{DIGEST}\n" for name in ("gateway", "worker", "train"))
    done, after = named(tmp_path, lines, BY_HAND)
    assert done.returncode == 0, done.stderr
    kept = after.splitlines()
    assert [line for line in BY_HAND.splitlines() if line not in kept] == []
    read = yaml.safe_load(after)
    assert read["gateway"] == {
        "image": f"registry.test/gateway:1@{DIGEST}",
        "replicas": {"minimum": 1, "maximum": 2},
    }
    assert read["engine_images"] == {"nexus-worker": f"registry.test/worker:1@{DIGEST}"}
    again, raised = named(tmp_path / "again", lines.replace("777", "888"), after)
    assert again.returncode == 0
    assert raised == after.replace("777", "888"), "in its place"


def test_settings_that_would_change_more_are_left_to_a_person(tmp_path: Path) -> None:
    before = "gateway: {replicas: {minimum: 1, maximum: 2}}\n"
    done, after = named(tmp_path, f"gateway registry.test/gateway:1@{DIGEST}\n", before)
    assert (done.returncode, after) == (1, before)
    assert "gateway.image cannot be set without changing more" in done.stderr
