"""Which file of Nexus or of Kubernetes a block of YAML shows, and whether it would be taken there.

A page shows a part of a file as often as a whole one: what it is, is told by its keys.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.keys import read_keys
from nexus_gateway.routes import compile_file, parse
from nexus_release.config import Settings, base_settings
from nexus_release.convergence.gateways import read_gateways
from nexus_release.errors import BadInput, Missing
from nexus_release.spec import ReleaseSpec, read_spec

from .kustomize import kustomize
from .object_schemas import object_faults
from .repository import ROOT

Check = Callable[[Path], None]
_ID = re.compile(r"\b[0-9a-f]{4}…")
_DIGEST = "sha256:…"


def fault(text: str) -> str:
    """What is wrong with the block; nothing where it would be taken."""
    whole = _ID.sub("1a2b" * 16, text.replace(_DIGEST, "sha256:" + "0" * 64))
    try:
        document = yaml.safe_load(whole)
        check = _check_for(document)
        if check is None:
            return f"nothing here knows what {_keys(document)} is; add it to {Path(__file__).name}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "block.yaml"
            path.write_text(whole, encoding="utf-8")
            check(path)
    except (yaml.YAMLError, BadInput, Missing, ConfigRefused, jsonschema.ValidationError, AssertionError) as error:
        return str(error).strip().splitlines()[0] or type(error).__name__
    return ""


def _check_for(document: Any) -> Check | None:
    keys = _keys(document)
    if isinstance(document, list):
        return next((check for wanted, check in _LISTS if wanted <= keys), None)
    for wanted, check in _FILES:
        if keys and keys <= wanted:
            return check
    return _object if {"apiVersion", "kind"} <= keys else None


def _keys(document: Any) -> frozenset[str]:
    """Of a mapping, or of all that a list holds."""
    parts = document if isinstance(document, list) else [document]
    return frozenset(key for part in parts if isinstance(part, Mapping) for key in part)


def _settings(path: Path) -> None:
    base_settings(ROOT, _read(path))


def _routes(path: Path) -> None:
    """By the gateway itself; a part that names an upstream which the page does not show is held by its schema."""
    file = parse(path.name, path.read_bytes())
    by_schema("gateway/routes.schema.json", _read(path))
    if {"upstreams", "routes"} <= _read(path).keys() and file.upstreams.keys() >= _asked_for(_read(path)):
        compile_file(path.name, file, 10.0, None)


def _asked_for(document: Mapping[str, Any]) -> set[str]:
    """The upstreams that its routes name."""
    return {
        str(route[key])
        for route in document["routes"].values()
        for key in ("upstream", "primary", "canary")
        if key in route
    }


def _masking(path: Path) -> None:
    by_schema("gateway/routes.schema.json", {"policies": {"x": _read(path)}})


def _policy_tests(path: Path) -> None:
    test = {"name": "x", "stays": {"models": ["x"], "hosts": ["x"]}}
    by_schema("gateway/policy-tests.schema.json", {"tests": [test], **_read(path)})


def _object(path: Path) -> None:
    document = _read(path)
    if document["kind"] == "Certificate":
        jsonschema.validate(document["spec"], _CERTIFICATE)
        return
    faults = object_faults(document)
    assert not faults, faults[0]


def _pod(path: Path) -> None:
    """A part of a pod's spec."""
    containers = [{"name": "x", "image": "x", **one} for one in _read(path)["containers"]]
    _held_as_pod({**_read(path), "containers": containers})


def _argo_executor(path: Path) -> None:
    """The controller reads YAML within its ConfigMap."""
    document = {name: yaml.safe_load(text) for name, text in _read(path).items()}
    _held_as_pod({"containers": [{"name": "x", "image": "x", **document["executor"]}]})
    assert set(document["workflowRestrictions"]) == {"templateReferencing"}


def _held_as_pod(spec: Mapping[str, Any]) -> None:
    faults = object_faults({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec})
    assert not faults, faults[0]


def _kustomization(path: Path) -> None:
    """Built over the overlay that it stands on."""
    folder = path.parent / "mine"
    folder.mkdir()
    shutil.copytree(ROOT / "gitops", path.parent / "gitops")
    path.rename(folder / "kustomization.yaml")
    done = subprocess.run([*kustomize(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _environments(path: Path) -> None:
    """Elements of the list that Argo CD's environments are made from."""
    rendered = yaml.safe_load((ROOT / "gitops/argocd/environments.yaml").read_text(encoding="utf-8"))
    (elements,) = (one["list"]["elements"] for one in rendered["spec"]["generators"][0]["matrix"]["generators"][:1])
    for entry in _read(path):
        assert entry.keys() == elements[0].keys(), sorted(entry)
        for part, components in entry["components"].items():
            lacking = [name for name in components if not (ROOT / "gitops/components" / name).is_dir()]
            assert not lacking, f"{part}: no component {lacking}"


def _airflow_releases(path: Path) -> None:
    _read_by("dags", "nexus_airflow.releases", path)


def _argo_releases(path: Path) -> None:
    _read_by("workflows", "nexus_hera.releases", path)


def _read_by(folder: str, module: str, path: Path) -> None:
    code = (
        "import sys, importlib, pathlib; importlib.import_module(sys.argv[1]).read_entries(pathlib.Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, module, path], cwd=ROOT / folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


def _keys_file(path: Path) -> None:
    read_keys(path)


def _gateways(path: Path) -> None:
    read_gateways(path)


def _spec(path: Path) -> None:
    """A part of a release file may leave out what it is not about."""
    path.write_text(yaml.safe_dump({"model": "x", "dataset": "x.jsonl", **_read(path)}), encoding="utf-8")
    read_spec(path)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def by_schema(schema: str, document: object) -> None:
    """Raises ValidationError."""
    jsonschema.validate(document, _schema(schema))


@cache
def _schema(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


_CERTIFICATE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["secretName", "issuerRef"],
    "properties": {
        **{name: {"type": "string"} for name in ("secretName", "commonName")},
        **{name: {"type": "string", "pattern": r"^(\d+(h|m|s))+$"} for name in ("duration", "renewBefore")},
        "usages": {"type": "array", "items": {"enum": ["client auth", "server auth", "digital signature"]}},
        "privateKey": {"additionalProperties": False, "properties": {"rotationPolicy": {"enum": ["Always", "Never"]}}},
        "issuerRef": {"additionalProperties": False, "properties": {"kind": {}, "name": {}, "group": {}}},
    },
}
"""What the page uses of cert-manager's Certificate, as its reference has it: none of its objects are rendered."""
_FILES: tuple[tuple[frozenset[str], Check], ...] = (
    (frozenset({"upstreams", "routes", "policies", "subjects", "default"}), _routes),
    (frozenset({"masking"}), _masking),
    (frozenset({"keys"}), _keys_file),
    (frozenset({"tests", "equivalent"}), _policy_tests),
    (frozenset(ReleaseSpec.model_fields), _spec),
    (frozenset(Settings.model_fields), _settings),
    (frozenset({"volumes", "containers"}), _pod),
    (frozenset({"executor", "workflowRestrictions"}), _argo_executor),
    (frozenset({"resources", "patches"}), _kustomization),
    (frozenset({"dev", "staging", "prod"}), _gateways),
)
"""What a block may have, and who reads it; the first counts."""
_LISTS: tuple[tuple[frozenset[str], Check], ...] = (
    (frozenset({"environment", "cluster", "namespace", "components"}), _environments),
    (frozenset({"spec", "environment", "cluster"}), _airflow_releases),
    (frozenset({"spec", "environment", "schedule"}), _argo_releases),
)
