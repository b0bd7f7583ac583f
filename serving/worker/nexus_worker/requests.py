"""What a client may ask, by OpenAI's names and vLLM's additions.

A field that would change the answer, and that no engine here computes, is refused unless it says what holds anyway:
an answer that silently ignores it would be wrong. Fields that are unknown are ignored, as vLLM does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nexus_worker.chat_template import BadMessages
from nexus_worker.engines.engine import Engine, Prefix, Sampling
from nexus_worker.errors import ApiError
from nexus_worker.generation import Generation

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "prompt_logprobs": (),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "stop_token_ids": ([],),
}
"""Field -> the values under which it asks for nothing; null does as well."""

_STOPS, _STOP_CHARACTERS = 16, 256  # a stop string is looked for after every token
_DEFAULT_TOKENS = 16  # of a completion, by OpenAI's reference; a chat's answer may fill the context

_Stop = Annotated[str, Field(min_length=1, max_length=_STOP_CHARACTERS)]


def invalid(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Names the first field and what is wrong with it, without repeating the body. `errors` are pydantic's."""
    first = errors[0]
    path = [part for part in first["loc"] if part != "body"]
    # Where the body is no JSON, the place is a character's number.
    field = path[0] if path and isinstance(path[0], str) else None
    return ApiError.bad_request(f"{field or 'body'}: {first['msg']}", field)


class StreamOptions(BaseModel):
    include_usage: bool = False


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=100)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: _Stop | Annotated[list[_Stop], Field(max_length=_STOPS)] | None = None
    ignore_eos: bool = False
    cache_salt: str | None = Field(default=None, min_length=1, max_length=1024)

    def check_supported(self) -> None:
        """Raises ApiError for the first field that nothing here computes."""
        for name, value in (self.model_extra or {}).items():
            if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
                raise ApiError.bad_request(f"`{name}` is not supported by this engine", name)

    def generation(self, engine: Engine, prompt: list[int], answer: int | None, otherwise: int) -> Generation:
        """`answer` is the largest number of tokens asked for, and has to fit the context; `otherwise` holds where
        none was asked for, as far as the context goes. Raises ApiError."""
        room = engine.context - len(prompt)
        if not prompt:
            raise ApiError.bad_request("the prompt is empty", "prompt")
        if room < 1 or (answer or 0) > room:
            wanted = f"you requested {answer} output tokens and " if answer else ""
            raise ApiError.bad_request(
                f"This model's maximum context length is {engine.context} tokens. However, {wanted}your prompt "
                f"contains {len(prompt)} input tokens. Please reduce the length of the input prompt or the number of "
                "requested output tokens.",
                "max_tokens" if answer else "prompt",
            )
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        sampling = self._sampling(engine.defaults, answer or min(room, otherwise))
        return Generation(prompt, sampling, stops, Prefix(self.cache_salt or ""))

    def _sampling(self, defaults: Sampling, tokens: int) -> Sampling:
        return Sampling(
            max_tokens=tokens,
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            top_k=defaults.top_k if self.top_k is None else max(0, self.top_k),
            seed=self.seed,
            ignore_eos=self.ignore_eos,
        )


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    role: str = Field(min_length=1, max_length=64)
    content: str | list[TextPart] | None = None

    def plain(self) -> dict[str, str]:
        if isinstance(self.content, list):
            return {"role": self.role, "content": "\n".join(part.text for part in self.content)}
        return {"role": self.role, "content": self.content or ""}


class ChatRequest(_Asked):
    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)

    def for_engine(self, engine: Engine) -> Generation:
        """Raises ApiError."""
        self.check_supported()
        try:
            prompt = engine.codec.encode_chat([message.plain() for message in self.messages])
        except BadMessages as error:
            raise ApiError.bad_request(str(error), "messages") from error
        return self.generation(engine, prompt, self.max_completion_tokens or self.max_tokens, engine.context)


class CompletionRequest(_Asked):
    prompt: str | list[int] | Annotated[list[str], Field(min_length=1, max_length=1)]
    """Text, or tokens; one of them."""

    def for_engine(self, engine: Engine) -> Generation:
        """Raises ApiError."""
        self.check_supported()
        return self.generation(engine, self._tokens(engine), self.max_tokens, _DEFAULT_TOKENS)

    def _tokens(self, engine: Engine) -> list[int]:
        if isinstance(self.prompt, str):
            return engine.codec.encode(self.prompt)
        texts = [part for part in self.prompt if isinstance(part, str)]
        tokens = [part for part in self.prompt if isinstance(part, int)]
        if not all(0 <= token < engine.codec.vocabulary for token in tokens):
            raise ApiError.bad_request(f"a token of the prompt is not below {engine.codec.vocabulary}", "prompt")
        return engine.codec.encode(texts[0]) if texts else tokens
