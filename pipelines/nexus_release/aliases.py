"""The registry's aliases: what Git names by them, and how what they point at stands to that. No I/O.

Of each model the alias `<env>` is the stable release of an environment and `<env>-canary` its canary, so that one
registry serves all environments. MLflow takes letters, digits, `-` and `_`, and keeps `latest` and `v1` for itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from nexus_release.digests import Digest
from nexus_release.frozen import Frozen
from nexus_release.plan import Plan
from nexus_release.ports import TaggedVersion

Role = Literal["stable", "canary"]
ROLES: tuple[Role, ...] = ("stable", "canary")

_CANARY = "-canary"
_KEPT_BY_MLFLOW = re.compile(r"latest|v\d+")


def alias_of(environment: str, role: Role) -> str:
    return environment if role == "stable" else environment + _CANARY


def alias_fault(environment: str) -> str:
    """Why an environment of this name could have no alias of its own; empty where it can."""
    if _KEPT_BY_MLFLOW.fullmatch(environment):
        return "MLflow keeps latest and v1, v2, ... for itself and takes no such alias; choose another name"
    if environment.endswith(_CANARY):
        return f"the registry's alias {environment} is another environment's canary; choose another name"
    return ""


class Named(Frozen):
    """One alias that Git names."""

    model: str
    role: Role
    release: str
    artifact: Digest
    """Of the release's record."""
    commit: str
    """That brought the record; empty where it is further back than the history is read."""


State = Literal["holds", "missing", "behind", "ahead", "surplus", "unregistered", "altered"]
"""`behind`: it points at what Git named there before. `ahead`: at what Git has never named there.
`surplus`: Git names nothing there. `unregistered`: no version has the release's id in its tag. `altered`: that version
says of itself another artifact than the record does."""


class Standing(Frozen):
    """One alias as Git and the registry have it."""

    model: str
    alias: str
    state: State
    release: str = ""
    """That Git names; empty where it names none."""
    version: int | None = None
    """Of that release; None where the registry has none."""
    points_at: int | None = None
    """The version; None where there is no such alias."""
    commit: str = ""
    """That brought the record of Git's release."""
    linked: str = ""
    """The same as the registry's version has it."""
    detail: str = ""
    """For people: what is wrong; empty where it holds."""


def role_release(plan: Plan, role: Role) -> str:
    """Empty where the plan has no such role."""
    if role == "stable":
        return plan.stable.release
    return plan.canary.release if plan.canary else ""


def standing(
    environment: str,
    named: Named,
    wanted: TaggedVersion | None,
    found: TaggedVersion | None,
    before: Collection[str],
) -> Standing:
    """`wanted` is the version of the release that Git names, `found` what the alias points at, `before` the releases
    that main has named in this role."""
    alias = alias_of(environment, named.role)

    def stands(state: State, detail: str = "") -> Standing:
        return Standing(
            model=named.model,
            alias=alias,
            state=state,
            release=named.release,
            version=wanted.version if wanted else None,
            points_at=found.version if found else None,
            commit=named.commit,
            linked=wanted.commit if wanted else "",
            detail=detail,
        )

    git = f"Git's {named.role} release {named.release[:12]}"
    if wanted is None:
        return stands("unregistered", f"no version has the tag nexus.release of {git}; register it again")
    if wanted.artifact != named.artifact:
        said = f"version {wanted.version} says in its tag nexus.artifact {wanted.artifact or 'nothing'}"
        mend = f"find out who changed it (`nexus verify {named.release[:12]} --registry`) and set the tag back"
        return stands("altered", f"{said}, the record of {git} says {named.artifact}; {mend}")
    mend = f"run `nexus mirror --env {environment}`"
    if found is None:
        return stands("missing", f"{git} is version {wanted.version}, and there is no such alias; {mend}")
    if found.version == wanted.version:
        return stands("holds")
    points = f"it points at version {found.version} (release {found.release[:12] or 'unknown'})"
    if found.release in before:
        return stands("behind", f"{points}, which Git named before; {git} is version {wanted.version}; {mend}")
    return stands(
        "ahead",
        f"{points}, which Git has never named there: somebody moved it by hand; {git} is version {wanted.version}; "
        f"{mend}",
    )


def surplus(
    environment: str, wanted: Collection[tuple[str, Role]], aliases: Mapping[str, Mapping[str, int]]
) -> list[Standing]:
    """Aliases of this environment that Git does not name. Other environments' and people's own are left alone.
    `aliases` has only models that main has records of: two companies may share a registry."""
    return [
        Standing(
            model=model,
            alias=alias_of(environment, role),
            state="surplus",
            points_at=there[alias_of(environment, role)],
            detail=f"it points at version {there[alias_of(environment, role)]}, and Git names no {role} release of "
            f"the model in {environment}; run `nexus mirror --env {environment}`",
        )
        for model, there in sorted(aliases.items())
        for role in ROLES
        if alias_of(environment, role) in there and (model, role) not in wanted
    ]
