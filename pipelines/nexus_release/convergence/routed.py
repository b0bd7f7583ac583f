"""What a set of route files routes: each model, and the releases that may answer for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_release.documents import parse_yaml
from nexus_release.frozen import Frozen


class RoutedRelease(Frozen):
    service: str
    """The InferenceService, which is the name of the upstream too."""
    model: str
    release: str
    url: str


class RoutedModel(Frozen):
    model: str
    releases: tuple[RoutedRelease, ...]
    """Retained ones too."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.release for one in self.releases)


def routed(files: Mapping[str, bytes]) -> tuple[RoutedModel, ...]:
    """Of `<slug>.yaml` -> bytes, by model. A file without routes (policies) routes nothing. Raises BadInput."""
    found = [one for name in sorted(files) for one in _models(files[name], name)]
    return tuple(sorted(found, key=lambda one: one.model))


def _models(data: bytes, name: str) -> Iterator[RoutedModel]:
    document = parse_yaml(data, name)
    if not isinstance(document, dict):
        return
    upstreams = document.get("upstreams") or {}
    for model in document.get("routes") or {}:
        releases = [
            RoutedRelease(service=service, model=model, release=said["release"], url=said.get("url") or said["service"])
            for service, said in upstreams.items()
            if "release" in said
        ]
        yield RoutedModel(model=model, releases=tuple(releases))
