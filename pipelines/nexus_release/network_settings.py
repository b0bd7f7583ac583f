"""What an environment says of the network between its pods, besides what follows from its other settings."""

from __future__ import annotations

from nexus_release.frozen import Section
from nexus_release.pod_settings import Peer


class NetworkSettings(Section):
    """Pods of the environment's namespace reach nobody, and nobody them, but for what `manifests/network.py` says."""

    engines: tuple[Peer, ...]
    """Whom engines may ask: an object store, where `artifacts` is one, or a hub. With `pvc://` they need nobody."""
