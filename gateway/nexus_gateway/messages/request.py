"""A request of the Messages API as a chat completion.

What has a counterpart is carried; what only steers caches or billing is left out; what would change the answer and has
no counterpart is refused with its place. Fields that neither API knows go on as they are: engines have their own. Those
that chat alone knows are refused: they would stand beside what is written here, and no limit of the caller's looks at
them in this API.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_gateway.errors import INVALID_BODY, Refusal
from nexus_gateway.surfaces import SURFACES

Document = dict[str, Any]

_SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream")
_LEFT_OUT = ("cache_control", "diagnostics", "inference_geo", "service_tier", "speed")
_WITHOUT_COUNTERPART = ("mcp_servers", "container", "context_management")
_TRANSLATED = ("messages", "system", "metadata", "stop_sequences", "tools", "tool_choice", "output_config", "thinking")
_KNOWN = frozenset((*_SAME, *_LEFT_OUT, *_WITHOUT_COUNTERPART, *_TRANSLATED))
_CHATS_OWN = SURFACES["/v1/chat/completions"].fields - _KNOWN
_BILLING = "x-anthropic-billing-header"
"""How the line of a system prompt begins by which Claude Code says what it is. It is another one in each request, so
that no engine would find the prompt in its cache."""


def to_chat(body: bytes) -> bytes:
    """Of a body that is sound JSON. Raises Refusal."""
    asked: Document = msgspec.json.decode(body)
    messages = _asked_messages(asked)
    if messages and messages[-1]["role"] == "assistant":
        raise _refused("messages", "the last one is the assistant's, and the engine of this model cannot go on with it")
    chat: Document = {name: asked[name] for name in _SAME if asked.get(name) is not None}
    chat["messages"] = messages
    if asked.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    if asked.get("stop_sequences"):
        chat["stop"] = asked["stop_sequences"]
    if user := _object(asked.get("metadata"), "metadata").get("user_id"):
        chat["user"] = user
    chat |= _tools(asked) | _output(_object(asked.get("output_config"), "output_config"))
    if _object(asked.get("thinking"), "thinking").get("type") == "disabled":
        chat["reasoning_effort"] = "none"
    return msgspec.json.encode(chat | {name: value for name, value in asked.items() if name not in _KNOWN})


def to_tokenize(body: bytes) -> bytes:
    """The same for vLLM's counting of a chat's tokens, which takes its messages and tools. Raises Refusal."""
    asked: Document = msgspec.json.decode(body)
    messages, tools = _asked_messages(asked), _tools(asked).get("tools")
    return msgspec.json.encode({"model": asked["model"], "messages": messages} | ({"tools": tools} if tools else {}))


def _asked_messages(asked: Document) -> list[Document]:
    """Of a request that has nothing without a counterpart. Raises Refusal."""
    for name in asked:
        if name in _CHATS_OWN:
            raise _refused(name[:64], "a field of chat completions; the Messages API has none of that name")
    for name in _WITHOUT_COUNTERPART:
        if asked.get(name):
            raise _refused(name, "the engine of this model has nothing like it")
    return [*_system(asked.get("system")), *_messages(asked.get("messages"))]


def _system(system: Any) -> list[Document]:
    text = _text(system, "system") if system else ""
    return [{"role": "system", "content": text}] if text else []


def _messages(messages: Any) -> list[Document]:
    if not isinstance(messages, list):
        raise _refused("messages", "write a list of messages")
    found: list[Document] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        role, content = _object(message, place).get("role"), message.get("content")
        if role == "user":
            found += _from_user(content, place)
        elif role == "assistant":
            found.append(_from_assistant(content, place))
        elif role == "system":
            found.append({"role": "system", "content": _text(content, f"{place}.content")})
        else:
            raise _refused(f"{place}.role", f"{str(role)[:40]!r}: write user or assistant")
    return found


def _from_user(content: Any, place: str) -> list[Document]:
    """Results of tools come first, as chat wants them right after the calls; then what the user says."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    results: list[Document] = []
    parts: list[Document] = []
    for block, where in _blocks(content, f"{place}.content"):
        kind = block.get("type")
        if kind == "tool_result":
            results.append(_result(block, parts, where))
        elif kind == "text":
            parts.append({"type": "text", "text": _string(block, "text", where)})
        elif kind == "image":
            parts.append(_image(block, where))
        else:
            raise _refused(where, f"a block of type {str(kind)[:40]!r} has no counterpart; there are text and image")
    said = [{"role": "user", "content": _plain(parts)}] if parts else []
    return [*results, *said]


def _result(block: Document, parts: list[Document], where: str) -> Document:
    """A chat's tool message holds text alone: images of a result become what the user shows."""
    content = block.get("content") or ""
    texts = [content] if isinstance(content, str) else []
    for inner, place in _blocks(content, f"{where}.content") if isinstance(content, list) else ():
        if inner.get("type") == "text":
            texts.append(_string(inner, "text", place))
        elif inner.get("type") == "image":
            parts.append(_image(inner, place))
        else:
            raise _refused(place, f"a result of type {str(inner.get('type'))[:40]!r} has no counterpart")
    text = "\n".join(texts)
    told = f"Error: {text}" if block.get("is_error") else text
    return {"role": "tool", "tool_call_id": _string(block, "tool_use_id", where), "content": told}


def _from_assistant(content: Any, place: str) -> Document:
    """What it thought goes back by the name that engines have long had for it; their templates take what they need."""
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Document] = []
    for block, where in _blocks(content, f"{place}.content"):
        kind = block.get("type")
        if kind == "text":
            texts.append(_string(block, "text", where))
        elif kind == "thinking":
            thoughts.append(_string(block, "thinking", where))
        elif kind == "tool_use":
            calls.append(_call(block, where))
        elif kind != "redacted_thinking":  # which nobody can read but who has written it
            raise _refused(where, f"a block of type {str(kind)[:40]!r} has no counterpart; there are text and tool_use")
    said: Document = {"role": "assistant", "content": "\n".join(texts) if texts or not calls else None}
    if thoughts:
        said["reasoning_content"] = "\n".join(thoughts)
    return said | ({"tool_calls": calls} if calls else {})


def _call(block: Document, where: str) -> Document:
    arguments = msgspec.json.encode(_object(block.get("input"), f"{where}.input")).decode()
    function = {"name": _string(block, "name", where), "arguments": arguments}
    return {"id": _string(block, "id", where), "type": "function", "function": function}


def _image(block: Document, where: str) -> Document:
    source = _object(block.get("source"), f"{where}.source")
    if source.get("type") == "base64":
        url = f"data:{_string(source, 'media_type', where)};base64,{_string(source, 'data', where)}"
    elif source.get("type") == "url":
        url = _string(source, "url", where)
    else:
        raise _refused(f"{where}.source.type", "write base64 or url")
    return {"type": "image_url", "image_url": {"url": url}}


def _tools(asked: Document) -> Document:
    tools = asked.get("tools")
    if not tools:
        return {}
    if not isinstance(tools, list):
        raise _refused("tools", "write a list of tools")
    made = [_tool(_object(tool, f"tools[{number}]"), f"tools[{number}]") for number, tool in enumerate(tools)]
    choice = _object(asked.get("tool_choice"), "tool_choice")
    found: Document = {"tools": made}
    if choice:
        found["tool_choice"] = _choice(choice)
        if choice.get("disable_parallel_tool_use"):
            found["parallel_tool_calls"] = False
    return found


def _tool(tool: Document, where: str) -> Document:
    if tool.get("type") not in (None, "custom"):
        raise _refused(f"{where}.type", f"{str(tool['type'])[:40]!r} is known to Anthropic's models alone")
    schema = _object(tool.get("input_schema"), f"{where}.input_schema")
    function = {"name": _string(tool, "name", where), "parameters": schema}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name)}
    return {"type": "function", "function": function}


def _choice(choice: Document) -> Any:
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": _string(choice, "name", "tool_choice")}}
    if kind not in _CHOICES:
        raise _refused("tool_choice.type", f"{str(kind)[:40]!r}: write auto, any, tool or none")
    return _CHOICES[kind]


_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def _output(config: Document) -> Document:
    found: Document = {}
    if config.get("effort"):
        found["reasoning_effort"] = config["effort"]
    if form := _object(config.get("format"), "output_config.format"):
        if form.get("type") != "json_schema":
            raise _refused("output_config.format.type", "write json_schema")
        schema = {"name": "answer", "schema": _object(form.get("schema"), "output_config.format.schema")}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def _plain(parts: list[Document]) -> Any:
    """One text where nothing but text is said, since not every engine takes parts."""
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _text(content: Any, place: str) -> str:
    if isinstance(content, str):
        return content
    texts = [_string(block, "text", where) for block, where in _blocks(content, place)]
    return "\n".join(text for text in map(_unbilled, texts) if text)


def _unbilled(text: str) -> str:
    return text.partition("\n")[2] if text.startswith(_BILLING) else text


def _blocks(content: Any, place: str) -> list[tuple[Document, str]]:
    if not isinstance(content, list):
        raise _refused(place, "write a text or a list of blocks")
    return [(_object(block, f"{place}[{number}]"), f"{place}[{number}]") for number, block in enumerate(content)]


def _object(value: Any, place: str) -> Document:
    """Nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refused(place, "write an object")
    return value


def _string(block: Document, name: str, where: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise _refused(f"{where}.{name}", "write a text")
    return value


def _refused(place: str, why: str) -> Refusal:
    return Refusal(INVALID_BODY, f"{place}: {why}")
