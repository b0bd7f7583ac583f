"""The checkpoint's chat template, in jinja's sandbox, with what transformers gives to templates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nexus_worker.errors import BadCheckpoint
from nexus_worker.json_file import read_bounded, read_object

_FILE, _TOKENIZER = "chat_template.jinja", "tokenizer_config.json"
_TEMPLATE = 256 * 2**10  # bytes; the longest of known models have 20 KB
_TOKENIZER_JSON = 16 * 2**20  # bytes; it may list every added token
_RENDERED = 4 * 2**20  # characters; more than any context takes


class BadMessages(ValueError):
    """The template refuses the messages, or makes too much of them."""


class ChatTemplate:
    def __init__(self, source: str, special_tokens: Mapping[str, str], file: str = _FILE) -> None:
        """Raises BadCheckpoint for a template that does not parse."""
        try:
            self._template = _environment().from_string(source)
        except TemplateError as error:
            raise BadCheckpoint(file, "template", f"does not parse: {error}") from error
        self._special_tokens = special_tokens

    @classmethod
    def of(cls, folder: Path) -> ChatTemplate | None:
        """None where the checkpoint has no template. Raises BadCheckpoint."""
        settings = read_object(folder, _TOKENIZER, limit=_TOKENIZER_JSON) if (folder / _TOKENIZER).exists() else {}
        special_tokens = {name: text for name, token in settings.items() if (text := _token_text(name, token))}
        if (folder / _FILE).exists():
            return cls(_decoded(read_bounded(folder, _FILE, limit=_TEMPLATE)), special_tokens)
        source = settings.get("chat_template")
        if source is None:
            return None
        if not isinstance(source, str) or len(source) > _TEMPLATE:
            raise BadCheckpoint(_TOKENIZER, "chat_template", f"is no text of at most {_TEMPLATE} characters")
        return cls(source, special_tokens, _TOKENIZER)

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """Raises BadMessages."""
        values = {
            **self._special_tokens,
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "tools": None,
            "documents": None,
        }
        pieces, length = [], 0
        try:
            for piece in self._template.generate(values):
                pieces.append(piece)
                length += len(piece)
                if length > _RENDERED:
                    raise BadMessages(f"the chat template makes more than {_RENDERED} characters of the messages")
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            if isinstance(error, BadMessages):
                raise
            raise BadMessages(f"the chat template refuses the messages: {error}") from error
        return "".join(pieces)


def _environment() -> Environment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    return environment


class _Generation(Extension):
    """`{% generation %}` marks what the assistant wrote, for training. Here it is only its content."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own declaration is a plain set

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes for HTML, which prompts are not."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _token_text(name: str, token: object) -> str | None:
    """`bos_token` and its like are text, or an object with `content`."""
    if not name.endswith("_token"):
        return None
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None


def _decoded(source: bytes) -> str:
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadCheckpoint(_FILE, "content", "is not UTF-8") from error
