"""What is declared of a dataset: whose it is, what it may be used for and where, and when it must be gone.

A person writes it into the release's file; the record keeps it, and with it every release that was made of the data.
The decisions below take the day as a value: the record's id has no clock, and `observed.time` says when it was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from nexus_release.frozen import Frozen
from nexus_release.kubernetes_values import Label
from nexus_release.names import EnvironmentName, Line

Demand = Literal["required", "optional"]
"""Whether an environment takes data of which nothing is declared."""

Said = Annotated[Line, StringConstraints(min_length=1)]


class Declaration(Frozen):
    owner: Said
    """Who answers for the data: a team or a person."""
    source: Said
    """Where it comes from, in words. Its address is the release's `dataset`."""
    licence: Said
    """An SPDX identifier, or the name of the contract by which it may be used."""
    purposes: tuple[Label, ...] = Field(min_length=1)
    """What it may be used for; an environment with `gates.data.purpose` takes only what names that one."""
    contains_personal_data: bool
    """Of the rows as they are read. False is held against what `personal_data.py` finds in the rows that are kept."""
    delete_after: date | None
    """The last day on which it may be kept; null for what may be kept without end. As `2027-12-31`."""
    access: tuple[EnvironmentName, ...] = Field(min_length=1)
    """Environments in which a model that is made of it may be released and served."""

    @model_validator(mode="after")
    def _ends(self) -> Declaration:
        if self.contains_personal_data and self.delete_after is None:
            raise ValueError(
                "delete_after is null, but personal data is kept for a stated time only: give its last day"
            )
        return self


def today() -> date:
    """In UTC, as records tell time."""
    return datetime.now(UTC).date()


def expired(declared: Declaration | None, on: date) -> bool:
    """What has not been declared has no last day."""
    return declared is not None and declared.delete_after is not None and declared.delete_after < on


def objection(declared: Declaration | None, demand: Demand, purpose: str | None, environment: str) -> str:
    """Why a model made of such data may not be in an environment, whatever the day; empty where it may."""
    if declared is None:
        mend = "write `data` into the release's file, with owner, source, licence, purposes, delete_after and access"
        return f"nothing is declared of the data, and {environment} demands it: {mend}" if demand == "required" else ""
    if environment not in declared.access:
        return f"the data may not be used in {environment}: its access is {', '.join(declared.access)}"
    if purpose is not None and purpose not in declared.purposes:
        return f"{environment} serves {purpose}, and the data may be used for {', '.join(declared.purposes)} only"
    return ""


def objection_to_rows(declared: Declaration | None, personal: Mapping[str, int]) -> str:
    """`personal`: kind -> rows that are kept and hold such data."""
    if declared is None or declared.contains_personal_data or not personal:
        return ""
    found = ", ".join(f"{kind} in {rows}" for kind, rows in sorted(personal.items()))
    return f"the data is declared to contain no personal data, and rows that are kept do: {found}"


def told(declared: Declaration | None) -> tuple[tuple[str, str], ...]:
    """(what, how) for people."""
    if declared is None:
        return (("declared", "nothing"),)
    return (
        ("owner", declared.owner),
        ("source", declared.source),
        ("licence", declared.licence),
        ("may be used for", ", ".join(declared.purposes)),
        ("contains personal data", "yes" if declared.contains_personal_data else "no"),
        ("delete after", declared.delete_after.isoformat() if declared.delete_after else "kept without end"),
        ("may be used in", ", ".join(declared.access)),
    )
