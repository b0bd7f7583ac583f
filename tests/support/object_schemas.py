"""Every Kubernetes object that we render, held strictly against its kind: unknown fields, wrong types, missing values.

In every clone by the types that installed packages carry, and against the upstream CRDs where NEXUS_CRDS points to a
folder of them.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

from .crd_schemas import crd_faults, defaulted, find_schema
from .external_secret_schema import SCHEMA as EXTERNAL_SECRET
from .kserve_types import KINDS, kserve_faults

KUBERNETES = "1.36"  # the newest that both kubernetes-validate and the upstream CRDs know
Document = dict[str, Any]

# It reads all of Kubernetes' definitions anew for each object, which is most of what it does.
utils.schema_contents = cache(utils.schema_contents)


def object_faults(document: Document) -> list[str]:
    """What is wrong with it, a line each."""
    if document["kind"] in KINDS:
        return kserve_faults(document) + _by_crd(document)
    if document["kind"] == "ExternalSecret":
        validator = jsonschema.Draft202012Validator(EXTERNAL_SECRET)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return _by_crd(document)
    except kubernetes_validate.ValidationError as error:
        return [str(error)]
    return []


def drift_faults(crds: Path, document: Document) -> list[str]:
    """What an API server would add to a custom resource by its schema's defaults, so that Argo CD saw a drift."""
    schema = find_schema(crds, document["apiVersion"], document["kind"])
    if schema is None:
        return [f"no CRD of {document['apiVersion']} {document['kind']}"]
    return [] if defaulted(schema, document) == document else [f"{defaulted(schema, document)} is not {document}"]


def crds_folder() -> Path | None:
    """Of upstream CRDs, where there is one."""
    return Path(os.environ["NEXUS_CRDS"]) if os.environ.get("NEXUS_CRDS") else None


def _by_crd(document: Document) -> list[str]:
    folder = crds_folder()
    if folder is None:
        return []
    found = crd_faults(folder, document)
    return [f"no CRD of {document['apiVersion']} {document['kind']}"] if found is None else found
