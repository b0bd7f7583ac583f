"""`nexus-gateway explain` as a page: the query is its options, and the routes are those that are served."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from nexus_gateway.asked import LONGEST_MODEL
from nexus_gateway.auth import bearer_of
from nexus_gateway.config_errors import first_error
from nexus_gateway.errors import INVALID_QUERY, Refusal
from nexus_gateway.explanation import explain, lines
from nexus_gateway.keys import Key, Keys
from nexus_gateway.question import BY_API, Question, body_of
from nexus_gateway.snapshot import Snapshot
from nexus_gateway.surfaces import Api
from nexus_gateway.tokens.claims import Claims

Text = Annotated[str, StringConstraints(max_length=256, pattern=r"^[ -~]*$")]
Header = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}=[!-~]([ -~]{0,254}[!-~])?$")]


class ExplainQuery(BaseModel):
    """What somebody might ask."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_MODEL, pattern=r"^[!-~]+$")]
    """Its name, as a client writes it."""
    key: Text = ""
    """Id of the caller's key, or a tenant's name; a key of the gateway brings its own models."""
    subject: Text = ""
    """`sub` of the caller's token, instead of a key."""
    api: Api = "chat"
    """By which it is asked for."""
    session: Text = ""
    """`x-nexus-session` of the request."""
    header: Annotated[tuple[Header, ...], Field(max_length=16)] = ()
    """Others, as `name=value`."""
    max_tokens: Annotated[int, Field(ge=0, le=1 << 31)] | None = None
    """Of the answer, as the request says."""
    open: Annotated[tuple[Text, ...], Field(max_length=16)] = ()
    """Upstreams that are taken to have failed; `*` stands for any text."""


_SEVERAL = {"header", "open"}


def explained(query: Iterable[tuple[str, str]], snapshot: Snapshot, keys: Keys) -> dict[str, Any]:
    """What the command prints with `--json`, and its lines for people. Raises Refusal."""
    asked = _read(query)
    surface = BY_API[asked.api]
    bounds = {surface.bounds[0]: asked.max_tokens} if surface.bounds and asked.max_tokens is not None else {}
    headers = dict(header.split("=", 1) for header in asked.header)
    if asked.session:
        headers["x-nexus-session"] = asked.session
    question = Question(_caller(asked, keys), surface, body_of(asked.model, bounds), headers)
    told = explain(snapshot, question, asked.open)
    return {"told": told, "lines": list(lines(told))}


def _read(query: Iterable[tuple[str, str]]) -> ExplainQuery:
    given: dict[str, Any] = {}
    for name, value in query:
        if name in _SEVERAL:
            given[name] = (*given.get(name, ()), value)
        elif name in given:
            raise Refusal(INVALID_QUERY, f"{name}: stands twice")
        else:
            given[name] = value
    try:
        return ExplainQuery.model_validate(given)
    except ValidationError as error:
        raise Refusal(INVALID_QUERY, first_error(error)) from None


def _caller(asked: ExplainQuery, keys: Keys) -> Key:
    if asked.subject:
        return bearer_of(Claims(asked.subject, None, math.inf))
    return next((key for key in keys.values() if key.id == asked.key), Key(asked.key, None, admin=False))
