"""Secrets that the External Secrets Operator makes from a store. No value of any is in Git."""

from __future__ import annotations

from nexus_release.gateway_settings import SecretStore
from nexus_release.manifests.objects import Object, made


def external_secret(name: str, app: str, namespace: str, store: SecretStore) -> Object:
    """All properties of `<prefix><name>` there become keys of the Secret `name` here."""
    extract = {
        "key": f"{store.prefix}{name}",
        # What the operator's CRD would fill in.
        "conversionStrategy": "Default",
        "decodingStrategy": "None",
        "metadataPolicy": "None",
        "nullBytePolicy": "Ignore",
    }
    spec = {
        "dataFrom": [{"extract": extract}],
        "refreshInterval": store.refresh,
        "secretStoreRef": {"kind": store.kind, "name": store.name},
        # Retain: where the store forgets a Secret, what runs goes on running.
        "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain", "name": name},
    }
    return made("external-secrets.io/v1", "ExternalSecret", name, namespace, app=app, spec=spec)
