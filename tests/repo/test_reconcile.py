"""What Git says stands in a real API server: applied, pruned, put right, and taken back by a revert.

The server is the one that KUBECONFIG names, on this machine unless NEXUS_RECONCILE=yes; without one this is skipped. It
needs no controllers. CRDs that it lacks are brought from NEXUS_CRDS.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.manifests.tree import write

from ..support.cluster_settings import settings_of
from ..support.object_schemas import crds_folder
from ..support.reconciler import Reconciler, kubeconfig
from ..support.releases import State
from ..support.served_crds import crds_for
from .test_rendered import made_up

Document = dict[str, Any]
GIVEN_OUT = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort", "healthCheckNodePort")
"""Fields of a Service that a cluster gives out."""


def kubectl(*words: str, text: str | None = None) -> str:
    return subprocess.run(
        ["kubectl", *words], input=text, check=True, capture_output=True, text=True, timeout=300
    ).stdout


@pytest.fixture(scope="module")
def minor() -> int:
    """Of the server's version, which has the CRDs that are needed."""
    kubeconfig()
    version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]
    found = int("".join(sign for sign in version["minor"] if sign.isdigit()))
    if "inferenceservices" not in kubectl("api-resources", "--api-group=serving.kserve.io", "-o", "name"):
        folder = crds_folder()
        if folder is None:
            pytest.skip("the server has no KServe CRDs, and NEXUS_CRDS names no folder of them")
        bodies = yaml.dump_all(crds_for(folder, old=found < 25), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
        kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", "-", text=bodies)
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    return found


@pytest.fixture
def reconciler(minor: int) -> Iterator[Reconciler]:
    found = Reconciler("dev", f"nexus-reconcile-{secrets.token_hex(3)}", old=minor < 25)
    yield found
    found.clear()


class Repository:
    """A Git repository whose commits are states of an environment."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.folder, self._settings = folder, settings_of("dev", {"namespace": namespace})
        self._git("init", "-q")

    def commit(self, state: State) -> str:
        write(self.folder, "dev", made_up("dev", state, self._settings))
        self._git("add", "-A")
        self._git("commit", "-qm", state)
        return self._git("rev-parse", "HEAD").strip()

    def revert(self, commit: str) -> None:
        self._git("revert", "--no-edit", commit)

    def _git(self, *words: str) -> str:
        names = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **names}
        return subprocess.run(
            ["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, env=environment
        ).stdout


def standing(reconciler: Reconciler, bodies: list[Document]) -> list[tuple[str, str]]:
    return [named(body) for body in bodies if reconciler.live(body) is not None]


def test_an_environment_is_applied_pruned_put_right_and_reverted(
    minor: int, reconciler: Reconciler, tmp_path: Path
) -> None:
    repository = Repository(tmp_path, reconciler.namespace)
    repository.commit("canary")
    first = reconciler.sync(tmp_path)
    assert reconciler.left_out <= ({"HorizontalPodAutoscaler", "PodDisruptionBudget"} if minor < 25 else set())
    assert {"Deployment", "StatefulSet", "NetworkPolicy", "InferenceService", "ServingRuntime"} <= {
        body["kind"] for body in first
    }
    assert standing(reconciler, first) == [named(body) for body in first]
    for body in first:
        hold_as_rendered(body, reconciler, minor)
    assert reconciler.drifted(tmp_path) == ""

    moved = repository.commit("first")  # the second release goes
    second = reconciler.sync(tmp_path)
    gone = [body for body in first if named(body) not in {named(one) for one in second}]
    assert gone
    assert standing(reconciler, gone) == []

    deployment = next(body for body in second if body["kind"] == "Deployment")
    reconciler.patch(
        "deployment", "nexus-gateway", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
    )
    assert "terminationGracePeriodSeconds" in reconciler.drifted(tmp_path)
    reconciler.sync(tmp_path)
    assert reconciler.drifted(tmp_path) == ""
    live = reconciler.live(deployment)
    assert live
    assert live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 630

    repository.revert(moved)
    reverted = reconciler.sync(tmp_path)
    assert reverted == first
    assert standing(reconciler, first) == [named(body) for body in first]
    assert reconciler.drifted(tmp_path) == ""


def named(body: Document) -> tuple[str, str]:
    return body["kind"], body["metadata"]["name"]


def hold_as_rendered(body: Document, reconciler: Reconciler, minor: int) -> None:
    """The server has added nothing of its own. An old one may have dropped what it does not know."""
    live = reconciler.live(body)
    assert live
    without_the_servers_own(live, body)
    assert list(additions(body, live, body["kind"])) == []
    if minor >= 30:
        assert list(additions(live, body, body["kind"])) == []


def without_the_servers_own(live: Document, body: Document) -> None:
    live.pop("status", None)
    metadata = live["metadata"]
    for part in ("labels", "annotations"):  # maps: what others write there is theirs, and no diff shows it
        if part in body["metadata"]:
            metadata[part] = {key: value for key, value in metadata[part].items() if key in body["metadata"][part]}
    live["metadata"] = {key: value for key, value in metadata.items() if key in body["metadata"]}
    match body["kind"]:
        case "Namespace":
            live.pop("spec", None)
        case "Service":
            for field in GIVEN_OUT:
                if field not in body["spec"]:
                    live["spec"].pop(field, None)
            for port in live["spec"]["ports"]:
                port.pop("nodePort", None)
        case "Deployment" | "StatefulSet":
            if "replicas" not in body["spec"]:  # the autoscaler's
                live["spec"].pop("replicas")
            live["spec"]["template"]["metadata"].pop("creationTimestamp", None)
            live["spec"]["template"]["spec"].pop("serviceAccount")  # the old name of serviceAccountName
            for claim in live["spec"].get("volumeClaimTemplates", ()):
                claim["metadata"].pop("creationTimestamp", None)


def additions(rendered: Any, live: Any, path: str) -> Iterator[str]:
    """What stands in `live` and not, or not so, in `rendered`."""
    if isinstance(rendered, dict) and isinstance(live, dict):
        for key, value in live.items():
            if key in rendered:
                yield from additions(rendered[key], value, f"{path}.{key}")
            else:
                yield f"{path}.{key}: {value!r}"
    elif isinstance(rendered, list) and isinstance(live, list) and len(rendered) == len(live):
        for number, (one, other) in enumerate(zip(rendered, live, strict=True)):
            yield from additions(one, other, f"{path}[{number}]")
    elif rendered != live:
        yield f"{path}: {rendered!r} has become {live!r}"
