"""Images of ours that nobody has built yet, and what is not rendered for want of them."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import Settings


def unbuilt(settings: Settings) -> Iterator[str]:
    """A line for each image that is null in a cluster's settings: the field, and what is left out."""
    if settings.in_cluster and settings.gateway.image is None:
        yield "gateway.image is null: the gateway's Deployment, and what is about it, are not rendered"
    if settings.in_cluster and settings.pods.images.release is None:
        yield "pods.images.release is null: the Job that asks for every model after a sync is not rendered"
