"""A request of the Messages API as a chat completion.

What has a counterpart is carried; what only steers caches or billing is left out; what would change the answer and has
no counterpart is refused with its place. Fields that neither API knows go on as they are: engines have their own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nexus_gateway.errors import INVALID_BODY, Refusal

Document = dict[str, Any]

_SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream")
_LEFT_OUT = ("service_tier", "thinking", "inference_geo")
_WITHOUT_COUNTERPART = ("mcp_servers", "container", "context_management")
_TRANSLATED = ("messages", "system", "metadata", "stop_sequences", "tools", "tool_choice", "output_config")
_FORGOTTEN = ("thinking", "redacted_thinking")  # blocks of an earlier answer; engines think anew


def to_chat(body: bytes) -> bytes:
    """Of a body that is sound JSON. Raises Refusal."""
    asked: Document = msgspec.json.decode(body)
    for name in _WITHOUT_COUNTERPART:
        if asked.get(name):
            raise _refused(name, "the engine of this model has nothing like it")
    known = {*_SAME, *_LEFT_OUT, *_WITHOUT_COUNTERPART, *_TRANSLATED}
    chat: Document = {name: asked[name] for name in _SAME if asked.get(name) is not None}
    chat["messages"] = [*_system(asked.get("system")), *_messages(asked.get("messages"))]
    if asked.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    if asked.get("stop_sequences"):
        chat["stop"] = asked["stop_sequences"]
    if user := _object(asked.get("metadata"), "metadata").get("user_id"):
        chat["user"] = user
    chat |= _tools(asked) | _output(_object(asked.get("output_config"), "output_config"))
    return msgspec.json.encode(chat | {name: value for name, value in asked.items() if name not in known})


def _system(system: Any) -> list[Document]:
    if not system:
        return []
    return [{"role": "system", "content": _text(system, "system")}]


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
    for block, where in _blocks(content, place):
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
    for inner, place in _blocks(content, where) if isinstance(content, list) else ():
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
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    texts: list[str] = []
    calls: list[Document] = []
    for block, where in _blocks(content, place):
        kind = block.get("type")
        if kind == "text":
            texts.append(_string(block, "text", where))
        elif kind == "tool_use":
            arguments = msgspec.json.encode(_object(block.get("input"), f"{where}.input")).decode()
            function = {"name": _string(block, "name", where), "arguments": arguments}
            calls.append({"id": _string(block, "id", where), "type": "function", "function": function})
        elif kind not in _FORGOTTEN:
            raise _refused(where, f"a block of type {str(kind)[:40]!r} has no counterpart; there are text and tool_use")
    said: Document = {"role": "assistant", "content": "\n".join(texts) if texts else None}
    return said | ({"tool_calls": calls} if calls else {})


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
        raise _refused(f"{where}.type", f"{str(tool['type'])[:40]!r} is run by Anthropic's own servers")
    function = {"name": _string(tool, "name", where), "parameters": _object(tool.get("input_schema"), where)}
    if tool.get("description"):
        function["description"] = tool["description"]
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
    return "\n".join(_string(block, "text", where) for block, where in _blocks(content, place))


def _blocks(content: Any, place: str) -> list[tuple[Document, str]]:
    if not isinstance(content, list):
        raise _refused(place, "write a text or a list of blocks")
    return [(_object(block, f"{place}.content[{n}]"), f"{place}.content[{n}]") for n, block in enumerate(content)]


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
