"""API keys, known by their digests. Raw keys are never kept, logged or written."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from nexus_gateway.config_errors import ConfigRefused, first_error

DEV_KEY = "dev-key"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Key:
    id: str
    """What logs call it."""
    models: frozenset[str] | None
    """None is every model."""
    admin: bool
    subject: str = ""
    """Of a signed token; empty for a key."""
    tenant: str = ""
    """Who it belongs to; empty where it is the only one of its kind."""
    expires: float | None = None
    """Unix time from which it opens nothing."""

    @property
    def owner(self) -> str:
        """Whose policy, limits and sessions are meant: all keys of a tenant share them."""
        return self.tenant or self.id


Keys = Mapping[bytes, Key]
"""SHA-256 of the key -> what it may do."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    models: tuple[str, ...] | None = None
    scopes: tuple[str, ...] = ()
    tenant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """Whose it is, where several keys share one policy, its limits and sessions; the id where it is not given."""
    expires: AwareDatetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[_Entry, ...]


def digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def new_key() -> str:
    """256 bits: nobody guesses it, so a plain digest is enough to know it by."""
    return f"nxs-{secrets.token_urlsafe(32)}"


def read_keys(path: Path) -> Keys:
    """Raises ConfigRefused that names the entry and the mend."""
    import yaml

    try:
        parsed = _File.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise ConfigRefused(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigRefused(f"{path}: no YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        raise ConfigRefused(f"{path}: {first_error(error)}") from None
    found: dict[bytes, Key] = {}
    for entry in parsed.keys:
        if unknown := set(entry.scopes) - {"admin"}:
            raise ConfigRefused(f"{path}: keys: {entry.id}: scope {sorted(unknown)[0]!r} is unknown; there is `admin`")
        raw = bytes.fromhex(entry.digest.removeprefix("sha256:"))
        if raw in found or any(key.id == entry.id for key in found.values()):
            raise ConfigRefused(f"{path}: keys: {entry.id} stands twice")
        models = None if entry.models is None else frozenset(entry.models)
        expires = entry.expires.timestamp() if entry.expires else None
        found[raw] = Key(entry.id, models, "admin" in entry.scopes, tenant=entry.tenant or "", expires=expires)
    return found


def keys_of_environment(text: str | None, host: str) -> Keys:
    """GATEWAY_API_KEYS: one, or comma-separated, or a JSON list. Without it there is `dev-key`, on loopback only."""
    if text is None:
        if host not in LOOPBACK:
            raise ConfigRefused(f"no keys, and --host {host} is not loopback: give --keys FILE or GATEWAY_API_KEYS")
        return {digest(DEV_KEY.encode()): Key(DEV_KEY, None, admin=True)}
    listed = _listed(text)
    if DEV_KEY in listed and host not in LOOPBACK:
        raise ConfigRefused(
            f"GATEWAY_API_KEYS: dev-key is for loopback, and --host is {host}; use `nexus-gateway keys new`"
        )
    return {digest(key.encode()): Key(_name(key), None, admin=key == DEV_KEY) for key in listed}


def _listed(text: str) -> list[str]:
    if text.strip().startswith("["):
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        if not isinstance(parsed, list) or not all(isinstance(key, str) for key in parsed):
            raise ConfigRefused("GATEWAY_API_KEYS: begins like a JSON list and is none of texts")
    else:
        parsed = text.split(",")
    keys = [key.strip() for key in parsed if key.strip()]
    if not keys:
        raise ConfigRefused("GATEWAY_API_KEYS: holds no key; unset it or give one")
    return keys


def _name(key: str) -> str:
    """A key of the environment has no name of its own; its digest's beginning tells keys apart and gives none away."""
    return DEV_KEY if key == DEV_KEY else f"env-{digest(key.encode()).hex()[:8]}"
