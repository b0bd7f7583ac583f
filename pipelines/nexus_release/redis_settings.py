"""What an environment says of its Redis, in which all gateways count together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from nexus_release.frozen import Section
from nexus_release.gateway_settings import PodResources
from nexus_release.kubernetes_values import Image, Label, Memory
from nexus_release.pod_settings import Peer


class RedisSettings(Section):
    """Limits, idempotency keys and kept responses of all gateways. A laptop reads none of it."""

    mode: Literal["none", "single", "sentinel", "external"]
    """`none`: each gateway counts for itself. `single`: one pod, rendered. `sentinel`: three pods, of which one
    leads and another takes over. `external`: one that somebody else runs; the Secret says where."""
    image: Image | None
    """By digest; null where none is rendered."""
    secret: Label
    """With the key `url`, what gateways are told as `GATEWAY_REDIS_URL`; where Redis is rendered also `auth.conf`, the
    lines `requirepass ...` and, for `sentinel`, `masterauth ...` with the same password."""
    resources: PodResources
    """Of each pod."""
    storage: Memory
    """Of each pod's volume, on which its append-only file is."""
    storage_class: Label | None
    """Of the volume; null is the cluster's default."""
    max_memory_percent: int = Field(ge=10, le=90)
    """Of the memory limit, above which Redis takes nothing more; the rest is for a rewrite of its file."""
    egress: tuple[Peer, ...]
    """Where an external one is, as packets reach it."""

    @property
    def rendered(self) -> bool:
        return self.mode in ("single", "sentinel")

    @model_validator(mode="after")
    def _reachable(self) -> RedisSettings:
        if self.mode == "external" and not self.egress:
            raise ValueError("mode is external, but egress names nobody: gateways could not reach it")
        if self.rendered and self.image is None:
            raise ValueError(f"mode is {self.mode}, but image is null: give repository:tag@sha256:...")
        return self
