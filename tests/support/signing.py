"""Keys of a company that signs releases, and environments that trust them."""

from __future__ import annotations

from pathlib import Path

import yaml

from nexus_release.trust.bundles import new_private_key, public_half
from nexus_release.trust.keys import PublicKey
from nexus_release.wiring import Connections, Tools

COMPANY = new_private_key().decode()
SUCCESSOR = new_private_key().decode()
STRANGER = new_private_key().decode()


def tools_in(folder: Path, key: str | None = COMPANY) -> Tools:
    """Those of a machine whose work folder it is, and who signs by `key`; empty is its own."""
    return Tools(Connections(work=folder.as_uri(), registry="", remote="none", signing_key=key))


def public(private: str) -> PublicKey:
    return public_half(private.encode())


def key_files(environment: str, settings: str, *private: str) -> dict[str, str]:
    """Path -> text, which make `environment` trust these keys; `settings` is its settings file as it is."""
    names = [f"keys/{public(one).fingerprint[:8]}.pem" for one in private]
    changed = {**yaml.safe_load(settings), "signatures": {"accept": "trusted", "keys": names}}
    return {
        f"environments/{environment}/settings.yaml": yaml.safe_dump(changed),
        **{f"environments/{name}": public(one).pem for name, one in zip(names, private, strict=True)},
    }


def trust(root: Path, environment: str, *private: str) -> None:
    """Writes the same below `root`."""
    settings = (root / "environments" / environment / "settings.yaml").read_text()
    for path, text in key_files(environment, settings, *private).items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
