"""The schema of policy tests; `nexus-gateway schema --of policy-tests` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from nexus_gateway.config_errors import ConfigRefused, first_error
from nexus_gateway.errors import CONDITIONS
from nexus_gateway.masking.patterns import Kind
from nexus_gateway.routes_file import Entity, HeaderName, KeyId, Name, Subject
from nexus_gateway.strict_yaml import parse_yaml
from nexus_gateway.surfaces import Api

Pattern = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]
"""A name, in which `*` stands for any text and `?` for one character."""
Sentence = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,200}$")]
_CODES = frozenset(condition.code for condition in CONDITIONS)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class CallerFile(_Strict):
    """Who asks. A key or token is taken to name no models of its own, and so to open whatever its policy does."""

    tenant: KeyId | None = None
    """Of a key, or its id."""
    subject: Subject | None = None
    """`sub` of a signed token."""
    models: tuple[Name, ...] | None = None
    """That the key or the token names itself."""

    @model_validator(mode="after")
    def _one(self) -> CallerFile:
        if (self.tenant is None) == (self.subject is None):
            raise ValueError("give either tenant or subject")
        return self


class Bound(_Strict):
    at_least: Annotated[float, Field(ge=0)] | None = None
    at_most: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _some(self) -> Bound:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most, or both")
        return self


Exactly = Annotated[int, Field(ge=0)]
Amount = Exactly | Bound


class LimitsFile(_Strict):
    """What the caller has: a number is meant exactly. What is not limited is above every bound."""

    requests_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    max_parallel: Amount | None = None
    max_tokens: Amount | None = None
    priority: Amount | None = None


class MaskedFile(_Strict):
    """At least these kinds and entities, whichever model is asked for and whoever answers."""

    requests: tuple[Kind | Entity, ...] = ()
    answers: tuple[Kind | Entity, ...] = ()
    restores: bool | None = None
    """Whether the client's own values come back into its answer."""


class StaysFile(_Strict):
    """Where requests for these models go, by every rule, share, fallback and copy."""

    models: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    hosts: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    """Of every engine. A hosted provider (`litellm://`) is in only where its `api_base` is."""


class ShareFile(_Strict):
    """How much of a model's traffic some of its upstreams get, in percent."""

    model: Name
    of: tuple[Pattern, ...] | None = None
    """Upstreams; all but the first target where it is not given: the canary."""
    at_least: Annotated[float, Field(ge=0, le=100)] | None = None
    at_most: Annotated[float, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _some(self) -> ShareFile:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most, or both")
        return self


class CopiesFile(_Strict):
    """Who may get copies of requests for a model, and of how many."""

    model: Name
    to: tuple[Pattern, ...]
    """Upstreams; none: there are no copies."""
    at_least: Annotated[float, Field(ge=0, le=100)] = 0.0
    at_most: Annotated[float, Field(ge=0, le=100)] = 100.0
    """Percent of the requests."""


class RequestFile(_Strict):
    """One request. Without a session it is drawn anew each time, and then every place in a split is tried."""

    model: Name
    api: Api = "chat"
    headers: dict[HeaderName, Annotated[str, StringConstraints(pattern=r"^[ -~]{1,256}$")]] = Field(
        default_factory=dict
    )
    session: str = ""
    body: dict[str, Any] = Field(default_factory=dict)
    """Fields besides `model`."""
    open: tuple[Pattern, ...] = ()
    """Upstreams that have failed, so that their circuits are open."""


class GoesToFile(_Strict):
    """Who is asked first."""

    route: Pattern = "*"
    """The route that leads there: the model's own, or a fallback."""
    upstream: Pattern = "*"


class PolicyTest(_Strict):
    """One caller and what must be true of it; each assertion is held."""

    name: Sentence
    caller: CallerFile | None = None
    """Anybody where it is not given: a key from which no policy keeps anything."""
    may_use: tuple[Name, ...] = ()
    """Models."""
    never_reaches: tuple[Pattern, ...] = ()
    """Models whose engines are asked for nothing by this caller: by no name, rule, share, fallback or copy."""
    only: tuple[Name, ...] | None = None
    """May use these models, and reaches no other."""
    limits: LimitsFile | None = None
    masks: MaskedFile | None = None
    stays: StaysFile | None = None
    share: ShareFile | None = None
    copies: CopiesFile | None = None
    request: RequestFile | None = None
    goes_to: GoesToFile | None = None
    """Of `request`."""
    refused: str | None = None
    """Code that `request` is refused with: docs/reference/errors.md."""

    @model_validator(mode="after")
    def _asserts(self) -> PolicyTest:
        if (self.request is None) != (self.goes_to is None and self.refused is None):
            raise ValueError("request goes with goes_to or refused")
        if self.goes_to is not None and self.refused is not None:
            raise ValueError("a request cannot both go somewhere and be refused")
        if self.refused is not None and self.refused not in _CODES:
            raise ValueError(f"refused: {self.refused} is no code of docs/reference/errors.md")
        said = (self.may_use, self.never_reaches, self.only is not None, self.limits, self.masks, self.stays)
        if not any((*said, self.share, self.copies, self.request)):
            raise ValueError("it asserts nothing")
        return self


class EquivalentFile(_Strict):
    """A mutant that no test has to find, and why that is right."""

    mutant: Sentence
    because: Sentence


class PolicyTests(_Strict):
    """The policy tests of an environment."""

    tests: Annotated[tuple[PolicyTest, ...], Field(min_length=1)]
    equivalent: tuple[EquivalentFile, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> PolicyTests:
        names = [test.name for test in self.tests]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two tests are called {twice[0]!r}")
        return self


def read_tests(path: Path) -> PolicyTests:
    """Raises ConfigRefused that names the place and the mend."""
    try:
        return PolicyTests.model_validate(parse_yaml(str(path), path.read_bytes()))
    except OSError as error:
        raise ConfigRefused(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigRefused(f"{path}: {first_error(error)}") from None
