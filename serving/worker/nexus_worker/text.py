"""Text to tokens and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nexus_worker.chat_template import BadMessages, ChatTemplate
from nexus_worker.errors import BadCheckpoint
from nexus_worker.json_file import inside

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE = "tokenizer.json"
_TOKENIZER = 256 * 2**20  # bytes


class Codec(Protocol):
    vocabulary: int
    """Ids are below it."""

    def encode(self, text: str) -> list[int]: ...

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Ends where the assistant is to answer. Raises BadMessages."""

    def decoder(self) -> Callable[[int], str]:
        """Takes one token after another; gives the text that each makes certain, which may be none."""


class TokenizerCodec:
    """The checkpoint's tokenizer and chat template."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate | None, vocabulary: int) -> None:
        self.tokenizer, self.template, self.vocabulary = tokenizer, template, vocabulary

    @classmethod
    def of(cls, folder: Path, vocabulary: int) -> TokenizerCodec:
        """Raises BadCheckpoint."""
        return cls(_load_tokenizer(folder, vocabulary), ChatTemplate.of(folder), vocabulary)

    def render_chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """Raises BadMessages."""
        if self.template is None:
            raise BadMessages("this model has no chat template")
        return self.template.render(messages, add_generation_prompt=add_generation_prompt)

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=True).ids)

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        # The template has written the special tokens already.
        return list(self.tokenizer.encode(self.render_chat(messages), add_special_tokens=False).ids)

    def decoder(self) -> Callable[[int], str]:
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)
        return lambda token: stream.step(self.tokenizer, token) or ""


def _load_tokenizer(folder: Path, vocabulary: int) -> Tokenizer:
    from tokenizers import Tokenizer

    path = inside(folder, _FILE)
    if path.stat().st_size > _TOKENIZER:
        raise BadCheckpoint(_FILE, "size", f"is more than {_TOKENIZER} bytes")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise BadCheckpoint(_FILE, "content", f"does not load: {error}") from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if largest >= vocabulary:
        raise BadCheckpoint(_FILE, "vocabulary", f"has token {largest}, the model has {vocabulary} tokens, from 0")
    tokenizer.no_truncation()  # a prompt that is too long is refused, never cut silently
    tokenizer.no_padding()
    return tokenizer


class StopStrings:
    """Holds text back for as long as it may be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """What may be given out now; up to the stop string where one is `found`."""
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            given, self._held = self._held[: min(places)], ""
            return given
        keep = max((self._beginning(stop) for stop in self._stops), default=0)
        given, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return given

    def rest(self) -> str:
        """What was held back, once no more text comes."""
        given, self._held = self._held, ""
        return given

    def _beginning(self, stop: str) -> int:
        """Length of the longest end of the held text with which `stop` begins."""
        longest = min(len(stop) - 1, len(self._held))
        return next((length for length in range(longest, 0, -1) if self._held.endswith(stop[:length])), 0)
