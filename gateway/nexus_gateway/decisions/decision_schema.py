"""What a line of the decision log holds: the one definition behind `decision.schema.json`, the log, and `replay`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from nexus_gateway.breaker import State
from nexus_gateway.routing import BUCKETS

Count = Annotated[int, Field(ge=0)]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC.")]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitSeen(_Line):
    """The request's place in the split of a route."""

    route: str
    salt: str = Field(description="`rollout` of the route.")
    bucket: int = Field(ge=0, lt=BUCKETS, description="Nothing of what it was made from is kept.")


class RuleSeen(_Line):
    """A rule of a route that was held against the request. Header and value are the rule's."""

    header: str
    value: str
    held: bool


class EndpointSeen(_Line):
    """As it was at the moment of the choice."""

    endpoint: str = Field(description="The upstream's name, and where it has several the address too.")
    circuit: State
    admits: bool = Field(description="False where the circuit let nobody through.")
    well: bool = Field(description="By its health check; true without one.")
    resting: bool = Field(description="It had asked for rest by retry-after.")
    in_flight: Count = Field(description="Calls under way, of this process.")
    chosen: bool = Field(default=False, description="True for the one that the choice by prefix has named.")


class AskedThen(_Line):
    """Who was chosen, and what came of it."""

    route: str = Field(description="The one asked for, or a fallback.")
    endpoint: str
    outcome: str = Field(description="`answered`, `client_gone`, `retry_refused`, or the code of the condition.")
    went_on: bool = Field(description="True where the next engine was looked for.")


class ChoiceSeen(_Line):
    """One look at the endpoints of an upstream that had not been tried."""

    upstream: str
    endpoints: tuple[EndpointSeen, ...]
    asked: AskedThen | None = Field(description="Null where none could be.")


class Figures(_Line):
    """How much was asked and answered, and nothing of what was said. Tokens are by the engine's account, 0 where it
    gave none."""

    stream: bool
    request_bytes: Count = Field(description="Of its body; 0 where none was read.")
    answer_bytes: Count = Field(description="Of its body, as the engine gave it.")
    prompt_tokens: Count
    completion_tokens: Count
    ending: str | None = Field(description="Why the answer ended: a word of the API, or `other`; null where none.")


class Decision(_Line):
    """One for each request whose model was known, at its end."""

    kind: Literal["decision"]
    version: Literal[2] = Field(description="Of this schema.")
    time: Moment
    trace_id: str
    revision: str = Field(pattern="^[0-9a-f]{64}$", description="Of the route files that it was decided by.")
    path: str = Field(description="Route template of the API.")
    model: str = Field(description="What was asked for; masked and cut off where no route has that name.")
    known: bool = Field(description="True where a route has that name.")
    allowed: bool = Field(description="False where the caller's policy or key does not name the model.")
    route: str | None = Field(description="Null where there is none, or where it was not allowed.")
    tries: Count | None = Field(
        description="Null where no engine was looked for: turned away before, or answered by an earlier answer."
    )
    splits: tuple[SplitSeen, ...]
    rules: tuple[RuleSeen, ...]
    left_out: tuple[str, ...] = Field(description="Fallbacks that the caller may not use.")
    holder: str | None = Field(
        default=None, description="Endpoint that alone could be asked: it keeps the response that was gone on from."
    )
    choices: tuple[ChoiceSeen, ...] = Field(description="In the order in which they were made.")
    status: int = Field(ge=0, le=599, description="As the client got it; 499 where it had gone.")
    code: str | None = Field(description="Of the condition that ended it; null for an answer.")
    release: str | None = Field(description="Release id of the engine that was asked last; null where it has none.")
    figures: Figures


class Gap(_Line):
    """Stands where decisions could not be written."""

    kind: Literal["gap"]
    time: Moment
    lost: int = Field(ge=1, description="Decisions that have no line.")


Line = Decision | Gap
read_line: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def decision_schema() -> dict[str, Any]:
    """JSON Schema of one line of a decision log."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Decision line of nexus-gateway",
        **read_line.json_schema(),
    }
