"""What a caller may ask for: the key's own models, and the policy that the routes give to its id."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nexus_gateway.asked import Asked, field_names, with_max_tokens
from nexus_gateway.errors import FIELD_NOT_ALLOWED, TOO_MANY_TOKENS, Refusal
from nexus_gateway.keys import Key
from nexus_gateway.routes import Table
from nexus_gateway.routes_file import EVERY_SUBJECT, PolicyFile

OPENAI_FIELDS = frozenset({
    *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens"),
    *("max_tokens", "messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction"),
    *("presence_penalty", "prompt_cache_key", "reasoning_effort", "response_format", "safety_identifier", "seed"),
    *("service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools"),
    *("top_logprobs", "top_p", "user", "verbosity", "web_search_options"),
})  # fmt: skip
"""Of a chat completion, as OpenAI's API reference has them."""

UNLIMITED = PolicyFile()


@dataclass(frozen=True, slots=True)
class Caller:
    key: Key
    policy: PolicyFile

    def may_use(self, model: str) -> bool:
        named = self.policy.models is None or model in self.policy.models
        return named and (self.key.models is None or model in self.key.models)


def caller_of(key: Key, table: Table) -> Caller:
    """A token that names no models may use those of its subject's policy; where there is no policy either, none."""
    if not key.subject:
        return Caller(key, table.policies.get(key.id, UNLIMITED))
    policy = table.subjects.get(key.subject) or table.subjects.get(EVERY_SUBJECT)
    if policy is None:
        return Caller(replace(key, models=key.models or frozenset()), UNLIMITED)
    return Caller(key, policy)


def hold_to(policy: PolicyFile, asked: Asked, body: bytes) -> bytes:
    """The body as it may go on. Raises Refusal; a request that does not say how long its answer may be gets the
    policy's bound, since an engine's own default may be larger."""
    if policy.passthrough is not None:
        strange = [name for name in field_names(body) if name not in OPENAI_FIELDS and name not in policy.passthrough]
        if strange:
            raise Refusal(FIELD_NOT_ALLOWED, f"{strange[0][:64]}: this key's policy does not pass that field on")
    if policy.max_tokens is None:
        return body
    if asked.longest is None:
        return with_max_tokens(body, policy.max_tokens)
    if asked.longest > policy.max_tokens:
        raise Refusal(TOO_MANY_TOKENS, f"max_tokens: {asked.longest} is above this key's {policy.max_tokens}")
    return body
