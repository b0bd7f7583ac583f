"""Which Applications Argo CD makes of this repository, and what its projects let them do."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.config import NOT_ENVIRONMENTS, environment_names, load_settings
from nexus_release.manifests.tree import PARTS
from nexus_release.names import LONGEST_MODEL, model_slug

from ..support.application_sets import FOLDER, Object, applications, built, folders_of, of_kind
from ..support.cluster_settings import CHOICES, settings_of
from ..support.crd_schemas import crd_faults
from ..support.releases import MODELS
from ..support.repository import ROOT, tracked_files
from .test_rendered import made_up

IN_CLUSTERS = tuple(name for name in environment_names(ROOT) if load_settings(ROOT, name).image)
DECOYS = tuple(f"gitops/{name}/gateway" for name in (*sorted(NOT_ENVIRONMENTS), "local", "qa"))
COMPONENTS = ROOT / "gitops" / "components"
FINALIZER = "resources-finalizer.argocd.argoproj.io"


@cache
def argocd() -> list[Object]:
    return built()


def environments() -> Object:
    return copy.deepcopy(of_kind(argocd(), "ApplicationSet", "nexus-environments"))


def listed(application_set: Object) -> list[Object]:
    elements: list[Object] = application_set["spec"]["generators"][0]["matrix"]["generators"][0]["list"]["elements"]
    return elements


@cache
def made_up_files() -> dict[str, str]:
    """A tree with two models in each environment."""
    return {path: text for name in environment_names(ROOT) for path, text in made_up(name, "canary").items()}


def committed_files() -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in tracked_files()]


def paths(made: list[Object]) -> list[str]:
    return sorted(body["spec"]["source"]["path"] for body in made)


@pytest.mark.parametrize("tree", ["committed", "made up"])
def test_each_folder_of_each_environment_is_one_application_and_nothing_else_is(tree: str) -> None:
    files = committed_files() if tree == "committed" else [*made_up_files()]
    rendered = {f"gitops/{env}" for env in IN_CLUSTERS}
    folders = folders_of(files) | {*DECOYS}
    wanted = sorted(folder for folder in folders if str(Path(folder).parent) in rendered)
    assert len(wanted) >= len(IN_CLUSTERS) * (len(PARTS) + len(MODELS) * (tree == "made up"))
    assert paths(applications(environments(), folders)) == wanted


def test_the_list_names_the_environments_that_have_a_cluster() -> None:
    assert tuple(sorted(entry["environment"] for entry in listed(environments()))) == IN_CLUSTERS


def test_an_environment_that_the_list_does_not_name_has_no_application() -> None:
    changed = environments()
    gone = listed(changed).pop()["environment"]
    made = paths(applications(changed, folders_of(made_up_files())))
    assert made
    assert not [path for path in made if path.startswith(f"gitops/{gone}/")]


def test_a_template_that_names_no_parameter_is_an_error_and_makes_nothing() -> None:
    changed = environments()
    del listed(changed)[0]["cluster"]
    with pytest.raises(ValueError, match="cluster"):
        applications(changed, folders_of(made_up_files()))


def test_names_are_unique_and_short_enough_for_every_model_that_there_can_be() -> None:
    longest = model_slug("m" * LONGEST_MODEL)
    folders = {f"gitops/{env}/{name}" for env in IN_CLUSTERS for name in (*PARTS, *map(model_slug, MODELS), longest)}
    names = [body["metadata"]["name"] for body in applications(environments(), folders)]
    assert len(names) == len(set(names)) == len(folders)
    assert all(len(name) <= 53 and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) for name in names)


def test_each_environment_goes_to_a_place_of_its_own_which_its_settings_name() -> None:
    places = {entry["environment"]: (entry["cluster"], entry["namespace"]) for entry in listed(environments())}
    assert len(set(places.values())) == len(places)
    for environment, (_, namespace) in places.items():
        assert namespace == load_settings(ROOT, environment).namespace
    project = of_kind(argocd(), "AppProject", "nexus")["spec"]
    allowed = {(place["name"], place["namespace"]) for place in project["destinations"]}
    assert allowed == set(places.values())
    assert {entry["name"] for entry in project["clusterResourceWhitelist"]} == {space for _, space in allowed}


def test_a_model_whose_folder_goes_is_taken_down_and_a_part_is_not() -> None:
    made = applications(environments(), folders_of(made_up_files()))
    for body in made:
        part = Path(body["spec"]["source"]["path"]).name in PARTS
        assert (FINALIZER in body["metadata"].get("finalizers", [])) == (not part)
    assert of_kind(argocd(), "ApplicationSet", "nexus-platform")["spec"]["syncPolicy"] == {
        "preserveResourcesOnDeletion": True
    }


def test_every_environment_follows_git_by_itself_in_the_same_way() -> None:
    policies = [body["spec"]["syncPolicy"] for body in applications(environments(), folders_of(made_up_files()))]
    assert all(policy == policies[0] for policy in policies)
    assert policies[0]["automated"] == {"prune": True, "selfHeal": True}
    assert "ServerSideApply=true" in policies[0]["syncOptions"]
    assert policies[0]["retry"]["limit"] > 0


def test_platform_has_one_application_for_each_of_its_folders() -> None:
    folders = folders_of(committed_files()) | {"gitops/platform/made-up", "gitops/platform/made-up/below"}
    made = applications(of_kind(argocd(), "ApplicationSet", "nexus-platform"), folders)
    assert paths(made) == sorted(folder for folder in folders if re.fullmatch("gitops/platform/[^/]+", folder))


def kinds(objects: list[Object]) -> set[tuple[str, str]]:
    """(API group, kind)."""
    return {(body["apiVersion"].rpartition("/")[0], body["kind"]) for body in objects}


def whitelisted(project: str, field: str) -> set[tuple[str, str]]:
    entries = of_kind(argocd(), "AppProject", project)["spec"][field]
    found = [(entry["group"], entry["kind"]) for entry in entries]
    assert found == sorted(found)
    return set(found)


SCALED = {
    "autoscaling": {"scaler": "scaled-object"},
    "replicas": {"minimum": 1, "maximum": 3},
    "cache": {"kind": "claim"},
}


def test_the_project_allows_the_kinds_that_environments_can_have_and_no_other() -> None:
    choices = [settings_of("prod", choice) for choice in (*CHOICES.values(), SCALED)]
    texts = [text for settings in choices for text in made_up("prod", "canary", settings).values()]
    texts += [path.read_text() for path in COMPONENTS.rglob("*.yaml") if path.parent.name != "metallb"]
    bodies = [body for body in map(yaml.safe_load, texts) if "kind" in body]
    found = kinds([body for body in bodies if not body["apiVersion"].startswith("kustomize.")])
    cluster, spaced = (whitelisted("nexus", f"{scope}ResourceWhitelist") for scope in ("cluster", "namespace"))
    assert cluster == {("", "Namespace")}
    assert found - cluster == spaced, "put right gitops/argocd/project-environments.yaml"


@pytest.mark.parametrize("component", sorted(path.name for path in COMPONENTS.iterdir()))
def test_an_environment_takes_a_component_by_one_line(component: str) -> None:
    changed = environments()
    listed(changed)[-1]["components"] = {"gateway": [component]}
    before, after = (applications(each, folders_of(made_up_files())) for each in (environments(), changed))
    ((name, spec),) = [
        (new["metadata"]["name"], new["spec"]) for old, new in zip(before, after, strict=True) if old != new
    ]
    assert name == f"{listed(changed)[-1]['environment']}-gateway"
    (path,) = spec["source"]["kustomize"]["components"]
    assert (ROOT / spec["source"]["path"] / path / "kustomization.yaml").exists()
    ignored = {entry["name"]: entry["jsonPointers"] for entry in spec.get("ignoreDifferences", [])}
    moved = {"nexus-gateway": ["/spec/selector"], "nexus-gateway-preview": ["/spec/selector"]}
    assert ignored == (moved if component == "rollouts-blue-green" else {})


def test_the_platforms_project_allows_the_kinds_of_its_folders_and_no_other() -> None:
    folders = [path for path in (ROOT / "gitops" / "platform").glob("*/") if path.is_dir()]
    objects = [body for folder in folders for body in built(folder)]
    project = of_kind(argocd(), "AppProject", "nexus-platform")["spec"]
    cluster = whitelisted("nexus-platform", "clusterResourceWhitelist")
    assert cluster <= {("", "Namespace")}
    assert kinds(objects) == cluster | whitelisted("nexus-platform", "namespaceResourceWhitelist")
    spaces = {body["metadata"].get("namespace") or body["metadata"]["name"] for body in objects}
    assert {place["namespace"] for place in project["destinations"]} == spaces
    assert all(place["name"] == "in-cluster" for place in project["destinations"])
    assert {entry["name"] for entry in project["clusterResourceWhitelist"]} <= spaces


def test_a_fork_changes_one_line(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "argocd")
    file = tmp_path / "argocd" / "repository.yaml"
    url = yaml.safe_load(file.read_text())["data"]["url"]
    file.write_text(file.read_text().replace(url, "https://git.fork.test/nexus.git"))
    text = json.dumps(built(tmp_path / "argocd"))
    assert url not in text
    assert "set by" not in text
    assert text.count("https://git.fork.test/nexus.git") == len(re.findall(re.escape(url), json.dumps(argocd()))) == 6
    naming = [path for path in tracked_files() if url.encode() in path.read_bytes()]
    assert naming == [FOLDER / "repository.yaml"]


def unexplained(text: str) -> list[str]:
    """Entries of `ignoreDifferences` with no comment on their line or above it."""
    found: list[str] = []
    above, inside = "", None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if inside is not None and line.strip() and (indent < inside or (indent == inside and line[indent] not in "-#")):
            inside = None
        if inside is not None and re.match("(  )?- ", line[inside:]) and "#" not in line + above:
            found.append(line.strip())
        if line.lstrip().startswith("ignoreDifferences:"):
            inside = indent
        above = line if line.lstrip().startswith("#") else ""
    return found


def test_nothing_is_left_out_of_a_comparison_without_a_reason() -> None:
    texts = {path: path.read_text() for path in sorted((ROOT / "gitops").rglob("*.yaml"))}
    assert {path: unexplained(text) for path, text in texts.items() if unexplained(text)} == {}
    assert "ignoreDifferences" in texts[FOLDER / "environments.yaml"]
    bad = "spec:\n  ignoreDifferences:\n    - kind: Deployment\n      jsonPointers:\n        - /spec/replicas\n  a: b\n"
    assert unexplained(bad) == ["- kind: Deployment"]
    assert unexplained(bad.replace("Deployment", "Deployment # the autoscaler's")) == []
    assert unexplained(bad.replace("    - kind", "    # the autoscaler's\n    - kind")) == []


@pytest.fixture
def crds() -> Path:
    if "NEXUS_CRDS" not in os.environ:
        pytest.skip("NEXUS_CRDS names no folder of upstream CRDs (`make crds` downloads them)")
    return Path(os.environ["NEXUS_CRDS"])


def test_projects_sets_and_what_they_make_are_valid_to_the_last_field(crds: Path) -> None:
    made = [
        body
        for name in ("nexus-environments", "nexus-platform")
        for body in applications(
            of_kind(argocd(), "ApplicationSet", name), {*folders_of(made_up_files()), "gitops/platform/mlflow"}
        )
    ]
    for body in [*(body for body in argocd() if body["kind"] != "ConfigMap"), *made]:
        assert crd_faults(crds, body) == [], body["metadata"]["name"]


FAULTS: dict[str, tuple[str, Any]] = {
    "misspelt policy": ("preserveResourcesOnDelete", True),
    "text for truth": ("preserveResourcesOnDeletion", "yes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(crds: Path, name: str) -> None:
    changed, (key, value) = environments(), FAULTS[name]
    changed["spec"]["syncPolicy"][key] = value
    assert crd_faults(crds, changed)
