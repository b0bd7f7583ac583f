"""The APIs that are relayed: one row each. What differs between them stands here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Api = Literal["chat", "completions", "embeddings", "responses", "messages", "rerank"]
APIS: tuple[Api, ...] = get_args(Api)


@dataclass(frozen=True, slots=True)
class Surface:
    api: Api
    path: str
    """With `{response_id}` where it names a response."""
    fields: frozenset[str]
    """Of a body, as the API's own reference has them."""
    bounds: tuple[str, ...] = ()
    """Fields by which a client says how many tokens the answer may have; the first is the one to write. None where
    answers have no tokens of their own."""
    many: tuple[str, ...] = ()
    """Fields by which a client asks for several answers at once; the largest of them counts."""
    streams: bool = False
    ends: frozenset[str] = frozenset()
    """The types of events of which one ends its stream; where there are none, `[DONE]` does."""
    forwards: tuple[bytes, ...] = ()
    """Headers of the client that the engine is told."""
    methods: tuple[str, ...] = ("POST",)


def _fields(*words: str) -> frozenset[str]:
    return frozenset(" ".join(words).split())


_CHAT = Surface(
    "chat",
    "/v1/chat/completions",
    _fields(
        "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages",
        "metadata modalities model n parallel_tool_calls prediction presence_penalty prompt_cache_key",
        "prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop store stream",
        "stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options",
    ),
    bounds=("max_tokens", "max_completion_tokens"),
    many=("n",),
    streams=True,
)
_COMPLETIONS = Surface(
    "completions",
    "/v1/completions",
    _fields(
        "best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt seed stop",
        "stream stream_options suffix temperature top_p user",
    ),
    bounds=("max_tokens",),
    many=("n", "best_of"),
    streams=True,
)
_EMBEDDINGS = Surface("embeddings", "/v1/embeddings", _fields("dimensions encoding_format input model user"))
_RESPONSES = Surface(
    "responses",
    "/v1/responses",
    _fields(
        "background conversation include input instructions max_output_tokens max_tool_calls metadata model",
        "parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning",
        "safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs",
        "top_p truncation user",
    ),
    bounds=("max_output_tokens",),
    streams=True,
    ends=frozenset({"response.completed", "response.incomplete"}),
)
_MESSAGES_FIELDS = _fields(
    "cache_control container context_management diagnostics inference_geo max_tokens mcp_servers messages metadata",
    "model output_config service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k",
    "top_p",
)
_ANTHROPIC_HEADERS = (b"anthropic-version", b"anthropic-beta")
_MESSAGES = Surface(
    "messages",
    "/v1/messages",
    _MESSAGES_FIELDS,
    bounds=("max_tokens",),
    streams=True,
    ends=frozenset({"message_stop"}),
    forwards=_ANTHROPIC_HEADERS,
)
_COUNT_TOKENS = Surface(
    "messages", "/v1/messages/count_tokens", _MESSAGES_FIELDS - {"max_tokens", "stream"}, forwards=_ANTHROPIC_HEADERS
)
_RERANK = Surface(
    "rerank", "/v1/rerank", _fields("documents max_tokens_per_doc model query return_documents top_n user")
)

_KEPT = Surface(
    "responses",
    "/v1/responses/{response_id}",
    frozenset(),
    streams=True,
    ends=_RESPONSES.ends,
    methods=("GET", "DELETE"),
)
_CANCEL = Surface("responses", "/v1/responses/{response_id}/cancel", frozenset())
_INPUT_ITEMS = Surface("responses", "/v1/responses/{response_id}/input_items", frozenset(), methods=("GET",))

SURFACES = {
    surface.path: surface
    for surface in (_CHAT, _COMPLETIONS, _EMBEDDINGS, _RESPONSES, _MESSAGES, _COUNT_TOKENS, _RERANK)
}
"""Those that have a body with a model's name; by path."""
KEPT = {surface.path: surface for surface in (_KEPT, _CANCEL, _INPUT_ITEMS)}
"""Those about a response that an engine keeps; by path."""
