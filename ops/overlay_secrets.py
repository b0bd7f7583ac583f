"""Prints the Secrets that an overlay's pods wait for, made anew: the gateway's keys, Redis's password, a hub's token.

    python ops/overlay_secrets.py | kubectl apply -f -

Two keys are told on stderr, once; the cluster keeps their digests. HF_TOKEN of the environment becomes the hub's.
Applied again it makes other keys and another password: then restart Redis and the gateway.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

NAMESPACE = "nexus"
_BYTES = 32  # of chance; letters, digits, - and _ only, so that a URL takes the password as it is


def main() -> int:
    client, client_file = _key("client")
    admin, admin_file = _key("probe", "--admin")
    password = secrets.token_urlsafe(_BYTES)
    made = {
        "nexus-gateway-keys": {"keys.yaml": client_file + admin_file.split("keys:\n")[1]},
        "nexus-gateway-probe": {"NEXUS_GATEWAY_KEY": admin},
        "nexus-redis": {
            "url": f"redis://:{password}@nexus-redis.{NAMESPACE}.svc.cluster.local:6379/0",
            "auth.conf": f"requirepass {password}\n",
        },
        "nexus-hub": {"HF_TOKEN": os.environ.get("HF_TOKEN", "")},
    }
    items = [_secret(name, values) for name, values in made.items()]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    print(f"key of a client, shown this once: {client}", file=sys.stderr)
    print(f"key of scope admin, shown this once: {admin}", file=sys.stderr)
    return 0


def _key(name: str, *words: str) -> tuple[str, str]:
    """(the key, the key file with its entry alone)."""
    program = Path(sys.executable).with_name("nexus-gateway")
    done = subprocess.run([program, "keys", "new", "--id", name, *words], check=True, capture_output=True, text=True)
    told, _, file = done.stdout.partition("\n")
    return told.rpartition(" ")[2], file


def _secret(name: str, values: dict[str, str]) -> dict[str, object]:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "nexus"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


if __name__ == "__main__":
    sys.exit(main())
