"""How an environment moves a canary's weight by what is measured: `canary` of its settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nexus_release.frozen import Section
from nexus_release.kubernetes_values import LabelValue
from nexus_release.names import Line

Odds = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Metric = Literal["errors", "refusals", "first_byte", "inter_token", "cost", "length"]


class Allowed(Section):
    """For each measure how many times the stable release's odds the canary's may be. Odds are p / (1 - p): of an error
    they are about its share, of an answer slower than a bound they are twofold where 4 % are instead of 2 %."""

    errors: Odds
    """Of a call that failed: no answer, a status of 5xx or 429, or none taken since circuits were open or full."""
    refusals: Odds
    """Of an answer that ends with `refusal` or `content_filter`. What a model says in words is not seen."""
    first_byte: Odds
    """Of a first token (or whole answer, without a stream) later than any bound."""
    inter_token: Odds
    """Of a stream whose mean wait for the next token is longer than any bound."""
    cost: Odds
    """Of an answer that has held its engine longer than any bound: what GPUs are paid for."""
    length: Odds
    """Of an answer longer, or shorter, than any bound."""


class CanaryPolicy(Section):
    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(min_length=1)
    """Weights one after the other, in percent."""
    then: Literal["promote", "stay"]
    """What follows the last step: the canary becomes stable, or stays there until a person decides."""
    step_seconds: int = Field(ge=1)
    """Least time at a step."""
    step_requests: int = Field(ge=1)
    """Least requests of the canary at a step."""
    look_seconds: int = Field(ge=1)
    """Length of a block of traffic, by which Prometheus is asked; at least two of its scrapes."""
    deadline_hours: float = Field(gt=0, allow_inf_nan=False)
    """From the first weight on; a canary that is not at its last step by then goes back."""
    alpha: float = Field(gt=0, lt=1)
    """Probability at most, over the whole of a canary and all measures, that one within `allowed` goes back by them.
    Proved where each request is drawn by itself; about right for sessions by `session_requests`."""
    session_requests: float = Field(ge=1, allow_inf_nan=False)
    """How many requests of one session (the header by which it is drawn, or the request's `user`) come as a request
    sees it: the mean of their numbers' squares over the mean of their numbers, while the canary lasts. 1 where each is
    drawn by itself. A number too small lets equal canaries go back where a session's requests are alike; one too large
    makes the test so many times slower, and no worse."""
    allowed: Allowed
    """How much worse than the stable release it may be."""
    least_errors: float = Field(ge=0, lt=1)
    """Share of the canary's requests that fail below which errors send nobody back."""
    landing: Literal["merge", "review"]
    """As the environment's own, for these commits alone: a canary that waits for people to go back hurts meanwhile."""
    labels: dict[Line, LabelValue]
    """Labels by which Prometheus tells this environment's gateways from others'."""

    @model_validator(mode="after")
    def _rising(self) -> CanaryPolicy:
        if any(one >= other for one, other in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps {list(self.steps)} do not rise")
        return self

    def after(self, weight: int) -> int | None:
        """The next declared step; None where `weight` is the last or above it."""
        return next((step for step in self.steps if step > weight), None)
