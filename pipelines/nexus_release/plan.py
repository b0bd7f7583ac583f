"""The plan of a model in an environment: which release is stable, which is the canary, which stay warm.

`environments/<env>/models/<slug>.yaml` is the one file that a release, a canary, a promotion and a rollback change.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from nexus_release.digests import Digest, HexId
from nexus_release.documents import parse_yaml, validated, yaml_text
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Frozen
from nexus_release.names import ModelName, model_slug, service_name


class Pointer(Frozen):
    """A release, and the digest of its record's file, so that neither can change unseen."""

    release: HexId
    record: Digest


class Canary(Pointer):
    weight: int = Field(ge=0, le=100)
    """Percent of the model's traffic."""


class Plan(Frozen):
    model: ModelName
    stable: Pointer
    canary: Canary | None = None
    retained: tuple[Pointer, ...] = ()
    """Former stable releases, newest first: warm, without traffic."""

    @property
    def releases(self) -> tuple[str, ...]:
        """Every release that runs: stable, canary, retained."""
        canary = [self.canary] if self.canary else []
        return tuple(pointer.release for pointer in (self.stable, *canary, *self.retained))

    @property
    def pointers(self) -> tuple[Pointer, ...]:
        canary = [_pointer(self.canary)] if self.canary else []
        return (self.stable, *canary, *self.retained)

    @model_validator(mode="after")
    def _each_release_once(self) -> Plan:
        services = [service_name(self.model, release) for release in self.releases]
        if twice := sorted({name for name in services if services.count(name) > 1}):
            raise ValueError(f"two releases have one InferenceService: {', '.join(twice)}")
        return self


def plan_path(environment: str, model: str) -> str:
    """Path under the repository's root."""
    return f"environments/{environment}/models/{model_slug(model)}.yaml"


def read_plan(root: Path, environment: str, model: str) -> Plan | None:
    """None where the environment has no such model. Raises BadInput, also where another model has its slug."""
    path = plan_path(environment, model)
    try:
        plan = _read(root, path)
    except Missing:
        return None
    if plan.model != model:
        raise BadInput("model", model, f"{path} is the plan of {plan.model}; give one of the two another name")
    return plan


def read_plans(root: Path, environment: str) -> dict[str, Plan]:
    """Every plan of an environment by its model, sorted. Raises BadInput."""
    files = sorted((root / "environments" / environment / "models").glob("*.yaml"))
    plans = [_read(root, path.relative_to(root).as_posix()) for path in files]
    return {plan.model: plan for plan in sorted(plans, key=lambda plan: plan.model)}


def plan_text(plan: Plan) -> str:
    """The file: the same plan is the same bytes."""
    return yaml_text(plan.model_dump(mode="json", exclude_none=True), sort_keys=False)


def admitted(plan: Plan | None, model: str, pointer: Pointer) -> Plan:
    """The plan with a new release in it: stable where it is the model's first, else the canary at weight 0.

    An earlier canary goes. A release that the plan names already, retained too, changes nothing, so that a run
    that is repeated is harmless; going back to a retained one is a rollback.
    """
    if plan is None:
        return Plan(model=model, stable=pointer)
    if pointer.release in plan.releases:
        return plan
    return _changed(plan, canary=Canary(release=pointer.release, record=pointer.record, weight=0))


def shifted(plan: Plan, release: str, weight: int) -> Plan:
    """The plan with `weight` percent on its canary. Raises BadInput where `release` is not the canary."""
    canary = _canary(plan, release)
    if not 0 <= weight <= 100:
        raise BadInput("weight", weight, "give a whole percentage from 0 to 100")
    return _changed(plan, canary=canary.model_copy(update={"weight": weight}))


def promoted(plan: Plan, release: str, retain: int) -> Plan:
    """The canary becomes stable; the `retain` newest former stables stay warm. Raises BadInput."""
    canary = _canary(plan, release)
    retained = (plan.stable, *plan.retained)[:retain]
    return _changed(plan, stable=_pointer(canary), canary=None, retained=retained)


def _canary(plan: Plan, release: str) -> Canary:
    if plan.canary is None or plan.canary.release != release:
        found = f"the canary is {plan.canary.release}" if plan.canary else "there is no canary; release one first"
        raise BadInput(f"{plan.model}: release", release, found)
    return plan.canary


def _pointer(canary: Canary) -> Pointer:
    return Pointer(release=canary.release, record=canary.record)


def _changed(plan: Plan, **fields: object) -> Plan:
    return Plan.model_validate({**{name: getattr(plan, name) for name in Plan.model_fields}, **fields})


def parse_plan(data: bytes, path: str) -> Plan:
    """A plan from its file's bytes; `path` is under the repository's root. Raises BadInput."""
    plan = validated(Plan, parse_yaml(data, path), lambda _: path)
    environment = path.split("/")[1]
    if (expected := plan_path(environment, plan.model)) != path:
        raise BadInput(f"{path}: model", plan.model, f"its plan is {expected}")
    return plan


def _read(root: Path, path: str) -> Plan:
    try:
        return parse_plan((root / path).read_bytes(), path)
    except FileNotFoundError:
        raise Missing(f"{path}: no such plan") from None
