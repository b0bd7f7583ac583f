"""What an audit line holds: the one definition behind `audit.schema.json`, the reference, and `audit verify`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC.")]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    time: Moment
    seq: Count = Field(description="The line's place in the chain; goes on from file to file.")
    previous: Hash = Field(description="`hash` of the line before, also across files; zeros at the chain's beginning.")
    hash: Hash = Field(description="SHA-256 of the line's canonical JSON without this field.")


class AuditHeader(_Line):
    """The first line of each file."""

    kind: Literal["header"]
    version: Literal[1] = Field(description="Of this schema.")
    process: str = Field(description="What the process is called.")
    pid: Count
    started: Moment = Field(description="When the process began its chain.")
    chain: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] = Field(description="The chain's own id.")
    part: Count = Field(description="Which file of the chain this is, from 0.")


class AuditDecision(_Line):
    """One for each request, at its end."""

    kind: Literal["decision"]
    request_id: str = Field(description="Masked: it may be the client's.")
    trace_id: str
    principal: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = Field(
        description="HMAC-SHA256 of the key's id with the salt, 16 digits of it; null where the caller is unknown."
    )
    decision: Literal["allowed", "refused"] = Field(description="`refused` where an error condition ended the request.")
    policy: str = Field(description="What decided: `key:<principal>`, or the error condition's code.")
    model: str | None = Field(description="What was asked for, masked; null where the body was not read.")
    route: str | None
    upstream: str | None
    release: str | None
    revision: str | None
    status: int = Field(ge=0, le=599, description="As the client got it; 499 where it had gone.")
    prompt_tokens: Count
    completion_tokens: Count


class AuditGap(_Line):
    """Stands where decisions could not be written."""

    kind: Literal["gap"]
    lost: int = Field(ge=1, description="Decisions that have no line.")


class AuditClosed(_Line):
    """The last line of a file that was ended, by a clean stop or because it was full."""

    kind: Literal["closed"]
    count: Count = Field(description="Decisions in this file.")
    next: str | None = Field(description="The file that the chain goes on in; null at its end.")


LINES = (AuditHeader, AuditDecision, AuditGap, AuditClosed)
Line = AuditHeader | AuditDecision | AuditGap | AuditClosed
read_line: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def audit_schema() -> dict[str, Any]:
    """JSON Schema of one line of an audit file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Audit line of nexus-gateway",
        **read_line.json_schema(),
    }
