"""Which texts of a stream's event go on in later events, and which texts an event brings to their end.

Each API has its own events; what they have in common stands in `Delta`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nexus_gateway.surfaces import Api

Document = dict[str, Any]
Key = tuple[object, ...]
"""Of a text among those of one stream: first the part of the answer that it belongs to."""

_ARGUMENTS = "arguments"


@dataclass(frozen=True, slots=True)
class Delta:
    key: Key
    holder: Document
    field: str
    alone: Callable[[str], Document]
    """An event that says a piece of this text and nothing else."""
    source: bool = False
    """True for the source text of a JSON document."""
    id: str = ""
    """Of what it is a piece of; a new one under an old key is a new text. Empty where the event does not say."""

    @property
    def text(self) -> str:
        text: str = self.holder[self.field]
        return text


def deltas(api: Api, document: Document) -> list[Delta]:
    """In an order that depends on nothing but the document's form."""
    return [delta for delta in _DELTAS[api](document) if isinstance(delta.holder.get(delta.field), str)]


def ended(api: Api, document: Document, open_keys: Iterable[Key]) -> list[Key]:
    """Of the texts that have begun, those to which nothing will be added after this event."""
    return [key for key in open_keys if _ENDS[api](document, key)]


def _of_chat(document: Document) -> Iterator[Delta]:
    for choice in _objects(document.get("choices")):
        number, delta = choice.get("index", 0), choice.get("delta")
        if not isinstance(delta, dict):
            continue
        for field in ("content", "reasoning_content", "reasoning", "refusal"):
            yield Delta((number, field), delta, field, _chat_piece(document, number, _named, field))
        call = delta.get("function_call")
        if isinstance(call, dict):
            yield Delta(
                (number, "function_call"), call, _ARGUMENTS,
                _chat_piece(document, number, lambda text, name: {"function_call": {name: text}}, _ARGUMENTS),
                source=True,
            )  # fmt: skip
        for place, call in enumerate(_objects(delta.get("tool_calls"))):
            yield from _of_tool_call(document, number, call, place)


def _of_tool_call(document: Document, number: object, call: Document, place: int) -> Iterator[Delta]:
    """Not every engine numbers its calls; some name them in each piece, and number them all alike."""
    function = call.get("function")
    if not isinstance(function, dict):
        return
    named = {name: call[name] for name in ("index", "id") if call.get(name) is not None}

    def piece(text: str, field: str) -> Document:
        return {"tool_calls": [{**named, "function": {field: text}}]}

    yield Delta(
        (number, "tool_calls", call.get("index", place)), function, _ARGUMENTS,
        _chat_piece(document, number, piece, _ARGUMENTS), source=True, id=str(call.get("id") or ""),
    )  # fmt: skip


def _chat_piece(
    document: Document, number: object, delta: Callable[[str, str], Document], field: str
) -> Callable[[str], Document]:
    above = {name: value for name, value in document.items() if name not in ("choices", "usage")}

    def alone(text: str) -> Document:
        return {**above, "choices": [{"index": number, "delta": delta(text, field), "finish_reason": None}]}

    return alone


def _named(text: str, field: str) -> Document:
    return {field: text}


def _choice_ends(document: Document, key: Key) -> bool:
    choices = _objects(document.get("choices"))
    return any(choice.get("index", 0) == key[0] and choice.get("finish_reason") for choice in choices)


def _of_completions(document: Document) -> Iterator[Delta]:
    above = {name: value for name, value in document.items() if name not in ("choices", "usage")}
    for choice in _objects(document.get("choices")):
        number = choice.get("index", 0)

        def alone(text: str, number: object = number) -> Document:
            return {**above, "choices": [{"index": number, "text": text, "logprobs": None, "finish_reason": None}]}

        yield Delta((number,), choice, "text", alone)


def _of_messages(document: Document) -> Iterator[Delta]:
    delta = document.get("delta")
    if document.get("type") != "content_block_delta" or not isinstance(delta, dict):
        return
    field = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}.get(
        str(delta.get("type"))
    )
    if field is not None:

        def alone(text: str) -> Document:
            return {**document, "delta": {**delta, field: text}}

        yield Delta((document.get("index"), field), delta, field, alone, source=field == "partial_json")


def _messages_end(document: Document, key: Key) -> bool:
    kind = document.get("type")
    return kind in ("message_delta", "message_stop") or (
        kind == "content_block_stop" and document.get("index") == key[0]
    )


def _of_responses(document: Document) -> Iterator[Delta]:
    kind = str(document.get("type"))
    if not kind.endswith(".delta") or kind == "response.audio.delta":
        return
    part = document.get("content_index", document.get("summary_index"))
    key = (document.get("output_index"), part, kind)

    def alone(text: str) -> Document:
        return {**document, "delta": text, **({"logprobs": []} if "logprobs" in document else {})}

    yield Delta(key, document, "delta", alone, source=_ARGUMENTS in kind)


def _responses_end(document: Document, key: Key) -> bool:
    if str(document.get("type")).endswith(".delta"):
        return False
    return "output_index" not in document or document["output_index"] == key[0]


def _none(document: Document) -> Iterator[Delta]:
    return iter(())


def _never(document: Document, key: Key) -> bool:
    return False


def _objects(value: object) -> list[Document]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


_DELTAS: Mapping[Api, Callable[[Document], Iterator[Delta]]] = {
    "chat": _of_chat,
    "completions": _of_completions,
    "embeddings": _none,
    "responses": _of_responses,
    "messages": _of_messages,
    "rerank": _none,
}
_ENDS: Mapping[Api, Callable[[Document, Key], bool]] = {
    "chat": _choice_ends,
    "completions": _choice_ends,
    "embeddings": _never,
    "responses": _responses_end,
    "messages": _messages_end,
    "rerank": _never,
}
