"""What a route file says of the choice by prefix."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nexus_gateway.prefix_routing.choice import Parameters


class PrefixFile(BaseModel):
    """A prompt goes where its beginning is cached, as long as that endpoint has room."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strategy: Literal["prefix"]
    prefill_tokens_per_second: Annotated[float, Field(gt=0, le=10_000_000)]
    """Prompt tokens that one endpoint computes in a second at its best, as measured."""
    ttft_penalty_seconds: Annotated[float, Field(gt=0, le=600)]
    """The longest that a request waits for the endpoint which knows its beginning; then another is asked."""
    bound: Annotated[float, Field(ge=1, le=10)] = 2.0
    """Times the mean of requests under way that an endpoint may have, and"""
    slack: Annotated[float, Field(ge=1, le=10_000)] = 16.0
    """so many requests more."""
    least_tokens: Annotated[float, Field(ge=0, le=1_000_000)] = 500.0
    """Shorter prompts go to the endpoint with the least to do."""
    slow_start_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """In which an endpoint that has come is given more and more of its conversations."""
    scrape_seconds: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    """Between two looks at each endpoint's load, by GET /metrics."""
    memory_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """For which it is remembered in the Redis of `GATEWAY_REDIS_URL` who has answered a conversation, so that a new one
    may begin where there is room; 0: not at all."""

    @property
    def parameters(self) -> Parameters:
        return Parameters(
            self.prefill_tokens_per_second,
            self.ttft_penalty_seconds,
            self.bound,
            self.slack,
            self.least_tokens,
            self.slow_start_seconds,
        )
