"""The pods of one release in an environment: one kind, or one for prompts and one for answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nexus_release.capacity.kernels import SUPPORT
from nexus_release.capacity.planner import Placement, place, place_on_all
from nexus_release.config import Settings
from nexus_release.disaggregation_settings import Disaggregation, RolePods
from nexus_release.errors import BadInput
from nexus_release.record import Content, release_id

Role = Literal["engine", "prefill", "decode"]


@dataclass(frozen=True)
class PodGroup:
    """Equal pods."""

    role: Role
    least: int
    most: int
    placement: Placement
    """Of one pod."""

    @property
    def gpus(self) -> int:
        """Of one pod, where the environment has any."""
        return self.placement.tensor_parallel


def pod_groups(content: Content, settings: Settings) -> tuple[PodGroup, ...]:
    """Planned anew for this environment's machines, which a promotion may change; a placement may have a `refusal`.
    Raises BadInput for a record without a known scheme."""
    said = content.recipe.get("quantize.scheme")
    scheme = next((known for known in SUPPORT if known == said), None)
    if scheme is None:
        raise BadInput(f"{content.model}: recipe.quantize.scheme", said, f"one of {', '.join(SUPPORT)}")
    target, gate = settings.target, settings.gates.fit
    halves = disaggregation(content.model, release_id(content), settings)
    if halves is None:
        placement = place(content.shape, scheme, target, gate)
        return (PodGroup("engine", settings.replicas.minimum, settings.replicas.maximum, placement),)

    def half(role: Role, pods: RolePods) -> PodGroup:
        own = target.model_copy(update={"gpus": pods.gpus})
        return PodGroup(role, pods.replicas, pods.replicas, place_on_all(content.shape, scheme, own, gate))

    return _same_context(half("prefill", halves.prefill), half("decode", halves.decode))


def placed(content: Content, settings: Settings) -> tuple[PodGroup, ...]:
    """`pod_groups` that hold the model. Raises BadInput where they do not."""
    groups = pod_groups(content, settings)
    for group in groups:
        if group.placement.refusal:
            field, value = f"{content.model}: release", release_id(content)[:12]
            if group.role != "engine":
                field, value = f"disaggregated.models.{content.model}.{group.role}.gpus", str(group.gpus)
            raise BadInput(field, value, f"it does not fit: {group.placement.refusal}")
    return groups


def disaggregation(model: str, release: str, settings: Settings) -> Disaggregation | None:
    """None where one kind of pod does both."""
    found = settings.disaggregated.models.get(model)
    if found is None or not found.releases:
        return found
    return found if release.startswith(found.releases) else None


def _same_context(*groups: PodGroup) -> tuple[PodGroup, ...]:
    """What prefill has computed, decode must have room for."""
    shared = min(group.placement.context_tokens for group in groups)
    return tuple(replace(group, placement=replace(group.placement, context_tokens=shared)) for group in groups)
