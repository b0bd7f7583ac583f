"""A question as an HTTP request, and an HTTP answer as what it means; neither sends anything."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from nexus_client.answers import Answer, Provenance
from nexus_client.errors import BadQuestion, Refused

Messages = str | Sequence[Mapping[str, Any]]
"""A user's one message, or a conversation as OpenAI's API has it."""

CHAT = "/v1/chat/completions"
CONNECT_SECONDS = 5.0


OF_THE_CLIENT = {
    "stream": "a streamed answer comes by stream(), a whole one by chat()",
    "stream_options": "stream() asks for the usage by itself",
}
"""Fields of OpenAI's that the method decides, each with the mend."""


@dataclass(frozen=True)
class Question:
    """One request, sent as often as need be: always with the same key, so that an engine is paid once. Raises
    BadQuestion for what can never be sent."""

    model: str
    messages: Messages
    stream: bool
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of OpenAI's."""
    idempotency_key: str = ""
    """Made here where it is empty."""
    session: str = ""
    """Requests of one session stay with one release of a model."""

    def __post_init__(self) -> None:
        for name, mend in OF_THE_CLIENT.items():
            if name in self.more:
                raise BadQuestion(name, self.more[name], mend)
        for name, value in (("idempotency_key", self.idempotency_key), ("session", self.session)):
            if not (value.isascii() and value.isprintable()):
                mend = "headers take printable ASCII alone; give a digest of it, such as sha256(text).hexdigest()"
                raise BadQuestion(name, value, mend)

    def body(self) -> bytes:
        """As JSON."""
        messages = [{"role": "user", "content": self.messages}] if isinstance(self.messages, str) else self.messages
        streamed = {"stream": True, "stream_options": {"include_usage": True}} if self.stream else {}
        fields = {"model": self.model, "messages": messages, **self.more, **streamed}
        return b"{" + b",".join(b"%s:%s" % (_json(name, name), _json(name, fields[name])) for name in fields) + b"}"

    def headers(self) -> dict[str, str]:
        """Made once a question, not once a try."""
        key = {"content-type": "application/json", "idempotency-key": self.idempotency_key or str(uuid.uuid4())}
        return {**key, **({"x-nexus-session": self.session} if self.session else {})}


def _json(name: str, value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise BadQuestion(name, value, "it has half of a character (a lone surrogate), which is no text") from None
    except (TypeError, ValueError) as error:
        raise BadQuestion(name, value, f"JSON has no such value: {error}") from None


def options(url: str, key: str, seconds: float) -> dict[str, Any]:
    """Of an httpx client; `seconds` without a byte end a try. Raises ValueError whose words hold no key."""
    if not (key.isascii() and key.isprintable()):  # httpx would tell it, in the words of its error
        raise ValueError("key: it has a character that no header takes, such as the end of a line")
    return {
        "base_url": url.rstrip("/").removesuffix("/v1"),
        "headers": {"authorization": f"Bearer {key}"},
        "timeout": httpx.Timeout(seconds, connect=CONNECT_SECONDS),
    }


def answer_of(response: httpx.Response) -> Answer:
    """Raises Refused."""
    if response.status_code != 200:
        raise refusal_of(response)
    provenance = Provenance.of(response.headers)
    try:
        return Answer.of(response.json(), provenance)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise Refused(200, "", "what answers there does not speak OpenAI's API", None, provenance) from None


def refusal_of(response: httpx.Response) -> Refused:
    """Of an answer whose body has been read."""
    provenance = Provenance.of(response.headers)
    try:
        error = response.json()["error"]
        return Refused(response.status_code, error.get("code") or "", error["message"], error.get("param"), provenance)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Refused(response.status_code, "", response.reason_phrase or "no gateway's answer", None, provenance)
