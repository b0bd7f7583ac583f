"""What the registry says of a release, held against its record."""

from __future__ import annotations

from nexus_release.ports import Registry
from nexus_release.proof.finding import Finding, first_difference, holds, lies
from nexus_release.record import Record, content_json, release_id


def registered(record: Record, registry: Registry) -> Finding:
    """Raises Unreachable."""
    content = record.content
    found = registry.copy(content.model, release_id(content))
    if found is None:
        return lies("registry", record.observed.registry_uri, "the registry has no version of this release")
    if found.version.uri != record.observed.registry_uri:
        return lies("registry", record.observed.registry_uri, f"the registry has it as {found.version.uri}")
    uri = found.version.uri
    for name, said, true in (
        ("artifact", found.artifact_digest, content.artifact.digest),
        ("dataset", found.dataset_digest, content.dataset.digest),
    ):
        if said != true:
            return lies("registry", uri, f"its tag nexus.{name} is {said}, the record says {true}")
    if difference := first_difference(content_json(content), found.content):
        return lies("registry", uri, f"its content.json: {difference}")
    return holds("registry", uri, "tags and content.json are the record's")
