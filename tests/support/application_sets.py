"""What Argo CD makes of our ApplicationSets: its generators by their documentation, its templates by Go's own engine.

kubectl prints by Go's `text/template`, with no server asked; of Argo CD's further functions our templates use none.
"""

from __future__ import annotations

import copy
import fnmatch
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from .kustomize import kustomize
from .repository import ROOT

Object = dict[str, Any]
FOLDER = ROOT / "gitops" / "argocd"
_BETWEEN = "\n#####\n"


def built(folder: Path = FOLDER) -> list[Object]:
    """What a kustomize folder gives."""
    text = subprocess.run([*kustomize(), folder], check=True, capture_output=True, text=True).stdout
    return [body for body in yaml.safe_load_all(text) if body]


def of_kind(objects: Iterable[Object], kind: str, name: str | None = None) -> Object:
    (found,) = (body for body in objects if body["kind"] == kind and name in (None, body["metadata"]["name"]))
    return found


def applications(application_set: Object, folders: Iterable[str]) -> list[Object]:
    """The Applications that Argo CD would make where the repository has these folders. Refuses what it does not know,
    and a template that names a parameter which is not there."""
    spec = application_set["spec"]
    assert spec["goTemplate"] is True
    assert spec["goTemplateOptions"] == ["missingkey=error"]
    (generator,) = spec["generators"]
    parameters = list(_parameters(generator, sorted(folders)))
    made = [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", **json.loads(text)}
        for text in _executed(json.dumps(spec["template"]), parameters)
    ]
    patches = _executed(spec.get("templatePatch", ""), parameters)
    made = [_merged(body, yaml.safe_load(patch) or {}) for body, patch in zip(made, patches, strict=True)]
    kept = spec.get("syncPolicy", {}).get("preserveResourcesOnDeletion", False)
    for body in made:
        if not kept:
            body["metadata"].setdefault("finalizers", ["resources-finalizer.argocd.argoproj.io"])
    return made


def folders_of(files: Iterable[str]) -> set[str]:
    """Every folder above a file; none whose name begins with a dot, as Argo CD leaves those out."""
    found = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    return {folder for folder in found if not any(part.startswith(".") for part in folder.split("/"))}


def kustomized(root: Path, application: Object) -> list[Object]:
    """What Argo CD would apply: the Application's folder under `root`, with its components."""
    source = application["spec"]["source"]
    folder = root / source["path"]
    components = source.get("kustomize", {}).get("components", [])
    if not components:
        return built(folder)
    overlay = root / "with-components" / application["metadata"]["name"]
    overlay.mkdir(parents=True)
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(folder, overlay)],
        "components": [os.path.relpath(folder / component, overlay) for component in components],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(body))
    return built(overlay)


def _parameters(generator: Object, folders: list[str]) -> Iterator[Object]:
    (kind,) = generator
    if kind == "list":
        yield from generator["list"]["elements"]
    elif kind == "git":
        assert generator["git"].keys() == {"repoURL", "revision", "directories"}, "not understood"
        yield from (_of_folder(folder) for folder in folders if _chosen(generator["git"]["directories"], folder))
    elif kind == "matrix":
        first, second = generator["matrix"]["generators"]
        for outer in _parameters(first, folders):
            (text,) = _executed(json.dumps(second), [outer])
            yield from ({**outer, **inner} for inner in _parameters(json.loads(text), folders))
    else:
        raise AssertionError(f"not understood: {kind}")


def _of_folder(folder: str) -> Object:
    parts = folder.split("/")
    return {"path": {"path": folder, "basename": parts[-1], "segments": parts}}


def _chosen(directories: list[Object], folder: str) -> bool:
    taken = [item for item in directories if _matches(item["path"], folder)]
    return bool(taken) and not any(item.get("exclude") for item in taken)


def _matches(pattern: str, folder: str) -> bool:
    """Go's path.Match, of which only `*` is in use: it never crosses a slash."""
    assert not set(pattern) & set("[]?\\"), f"not understood: {pattern}"
    wanted, parts = pattern.split("/"), folder.split("/")
    return len(wanted) == len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _executed(template: str, parameters: list[Object]) -> list[str]:
    """`template` for each set of parameters, by one call of kubectl."""
    if not parameters:
        return []
    given = {"apiVersion": "v1alpha1", "kind": "Parameters", "metadata": {"name": "x"}, "each": parameters}
    between = json.dumps(_BETWEEN)
    asked = subprocess.run(
        [
            *[_kubectl(), "label", "--local", "-f", "-", "any=label", "--allow-missing-template-keys=false"],
            *["-o", f"go-template={{{{ range .each }}}}{template}{{{{ {between} }}}}{{{{ end }}}}"],
        ],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    if asked.returncode:
        raise ValueError(asked.stderr.splitlines()[-1])
    return asked.stdout.split(_BETWEEN)[:-1]


def _kubectl() -> str:
    if found := shutil.which("kubectl"):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("kubectl is not here: run `make services`")
    pytest.skip("kubectl is not here (`make services` installs it)")


def _merged(body: Mapping[str, Any], patch: Mapping[str, Any]) -> Object:
    merged = dict(copy.deepcopy(body))
    for key, value in patch.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
