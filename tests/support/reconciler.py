"""A stand-in for Argo CD's reconciler, against a real API server: server-side apply, prune, self-heal.

It obeys sync waves by applying in their order. It knows no hooks, no health and no ApplicationSets: what those do is
not shown by it. The server may be one without controllers: no pod needs to run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from nexus_release.manifests.objects import SYNC_WAVE

Document = dict[str, Any]
MANAGER = "nexus-reconciler"
_NEWER = ("internalTrafficPolicy", "persistentVolumeClaimRetentionPolicy")  # than such a server
_ID, _PART_OF = r"applyset\.kubernetes\.io/id", "applyset.kubernetes.io/part-of"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def kubeconfig() -> str:
    """A skip where no API server is given, or one that is not on this machine and nobody has said that it may be
    written to."""
    path = os.environ.get("KUBECONFIG")
    if not path:
        pytest.skip("KUBECONFIG names no API server")
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not here")
    server = urlsplit(_kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
    if server.hostname not in _LOOPBACK and os.environ.get("NEXUS_RECONCILE") != "yes":
        pytest.skip(f"{server.hostname} is not this machine; NEXUS_RECONCILE=yes lets this test write to it")
    return path


class Reconciler:
    """Makes the namespace hold what the folders of one environment's tree say, and nothing else of ours."""

    def __init__(self, environment: str, namespace: str, *, old: bool) -> None:
        """`old`: a server before 1.25, which reads an empty text as none, and lacks some fields."""
        self._environment, self.namespace, self._old = environment, namespace, old
        self._served = {*_kubectl("api-resources", "-o", "name").split()}
        self.left_out: set[str] = set()
        """Kinds that this server does not serve, in this version."""

    def sync(self, checkout: Path) -> list[Document]:
        """What stands in the server afterwards, as it was applied."""
        wanted = sorted(self.desired(checkout), key=_place)
        spaces = [body for body in wanted if body["kind"] == "Namespace"]
        _apply(spaces)
        others = [body for body in wanted if body["kind"] != "Namespace"]
        _apply(others, "--prune", f"--applyset=configmaps/{MANAGER}", "-n", self.namespace)
        return wanted

    def drifted(self, checkout: Path) -> str:
        """What a sync would change; empty where nothing would."""
        bodies = [body for body in self.desired(checkout) if body["kind"] != "Namespace"]
        for body in bodies:  # kubectl's own mark of what it may prune, which a diff would take away
            body["metadata"].setdefault("labels", {})[_PART_OF] = self._set_id()
        done = _run(
            "diff", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "-f", "-", bodies=bodies
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def desired(self, checkout: Path) -> Iterator[Document]:
        for folder in sorted((checkout / "gitops" / self._environment).iterdir()):
            for body in yaml.load_all(_kubectl("kustomize", str(folder)), Loader=yaml.CSafeLoader):
                if body is None or "argocd.argoproj.io/hook" in body["metadata"].get("annotations", {}):
                    continue
                if self._knows(body):
                    yield _for_old(body) if self._old else body
                else:
                    self.left_out.add(body["kind"])

    def live(self, body: Document) -> Document | None:
        resource = f"{body['kind']}.{_version_and_group(body)}"
        done = _run("get", resource, body["metadata"]["name"], "-n", self.namespace, "-o", "json", "--ignore-not-found")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout) if done.stdout.strip() else None
        assert found is None or isinstance(found, dict)
        return found

    def patch(self, kind: str, name: str, patch: Document) -> None:
        """By somebody else, as a person's `kubectl edit`."""
        _kubectl("patch", kind, name, "-n", self.namespace, "--type=merge", "-p", json.dumps(patch))

    def clear(self) -> None:
        """Without controllers a namespace never goes by itself, so what is in it goes first."""
        kinds = sorted(
            self._served & {"deployments.apps", "statefulsets.apps", "services", "configmaps", "serviceaccounts"}
        )
        for kind in (*kinds, "inferenceservices.serving.kserve.io", "servingruntimes.serving.kserve.io"):
            _run("delete", kind, "--all", "-n", self.namespace, "--wait=false")
        _run("delete", "namespace", self.namespace, "--wait=false")

    def _set_id(self) -> str:
        return _kubectl("get", "configmap", MANAGER, "-n", self.namespace, "-o", f"jsonpath={{.metadata.labels.{_ID}}}")

    def _knows(self, body: Document) -> bool:
        done = _run("explain", body["kind"], f"--api-version={body['apiVersion']}")
        return done.returncode == 0


def _for_old(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _for_old(item) for key, item in value.items() if item != "" and key not in _NEWER}
    return [_for_old(item) for item in value] if isinstance(value, list) else value


def _place(body: Document) -> tuple[int, str, str]:
    return int(body["metadata"].get("annotations", {}).get(SYNC_WAVE, 0)), body["kind"], body["metadata"]["name"]


def _version_and_group(body: Document) -> str:
    group, _, version = body["apiVersion"].rpartition("/")
    return f"{version}.{group}"


def _apply(bodies: Iterable[Document], *flags: str) -> None:
    words = (
        "apply",
        "--server-side",
        "--validate=false",
        f"--field-manager={MANAGER}",
        "--force-conflicts",
        "-f",
        "-",
        *flags,
    )
    done = _run(*words, bodies=bodies)
    assert done.returncode == 0, done.stderr


def _kubectl(*words: str) -> str:
    done = _run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(*words: str, bodies: Iterable[Document] | None = None) -> subprocess.CompletedProcess[str]:
    text = None if bodies is None else yaml.safe_dump_all(bodies)
    environment = {**os.environ, "KUBECTL_APPLYSET": "true"}
    return subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True, env=environment, timeout=120)
