"""The client for programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from nexus_client.answers import Answer, Provenance
from nexus_client.asking import CHAT, Messages, Question, answer_of, options, refusal_of
from nexus_client.errors import Unreachable
from nexus_client.events import Listening
from nexus_client.retrying import Retries


class Stream:
    """An answer under way: iterate for its text; `answer` is the whole once it has ended."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._listening = Listening(Provenance.of(response.headers))

    @property
    def provenance(self) -> Provenance:
        """Known before the first piece."""
        return self._listening.provenance

    def __iter__(self) -> Iterator[str]:
        """Raises BrokenOff where it ends before its end."""
        try:
            for data in self._response.iter_bytes():
                yield from self._listening.heard(data)
        except httpx.TransportError as error:
            raise self._listening.broken(f"the connection broke off: {error}") from None
        self.answer()

    def answer(self) -> Answer:
        """Raises BrokenOff where it has not ended."""
        return self._listening.answer()


class Client:
    """`with Client("http://127.0.0.1:8000", key) as client:`; several threads may share one."""

    def __init__(
        self, url: str, key: str, *, seconds: float = 600.0, retries: Retries | None = None, **of_httpx: Any
    ) -> None:
        """`seconds` without a byte end a try. `of_httpx`: options of httpx.Client, such as `verify`. Raises ValueError
        for a key that no header takes."""
        self._url, self._retries = url, retries or Retries()
        self._http = httpx.Client(**options(url, key, seconds), **of_httpx)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *of: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def chat(
        self, model: str, messages: Messages, *, idempotency_key: str = "", session: str = "", **more: Any
    ) -> Answer:
        """A whole answer; `more` are OpenAI's fields. Raises BadQuestion; Refused or Unreachable,
        after the retries."""
        return answer_of(self._sent(Question(model, messages, False, more, idempotency_key, session)))

    @contextmanager
    def stream(
        self, model: str, messages: Messages, *, idempotency_key: str = "", session: str = "", **more: Any
    ) -> Iterator[Stream]:
        """Leaving the block gives the rest up, and the engine stops. Raises BadQuestion, Refused or
        Unreachable."""
        response = self._sent(Question(model, messages, True, more, idempotency_key, session))
        try:
            if response.status_code != 200:
                response.read()
                raise refusal_of(response)
            yield Stream(response)
        finally:
            response.close()

    def models(self) -> list[str]:
        """Those that the key may ask for. Raises Refused or Unreachable."""
        try:
            response = self._http.get("/v1/models")
        except httpx.TransportError as error:
            raise Unreachable(self._url, str(error), 1) from None
        if response.status_code != 200:
            raise refusal_of(response)
        return [model["id"] for model in response.json()["data"]]

    def _sent(self, question: Question) -> httpx.Response:
        """The first answer that ends the tries; a stream's body is not read yet."""
        request = self._http.build_request("POST", CHAT, content=question.body(), headers=question.headers())
        tries = 0
        while True:
            tries += 1
            try:
                response = self._http.send(request, stream=question.stream)
            except httpx.TransportError as error:
                if (wait := self._retries.wait(tries)) is None:
                    raise Unreachable(self._url, str(error) or type(error).__name__, tries) from None
            else:
                wait = self._retries.wait(tries, response.status_code, response.headers)
                if response.status_code == 200 or wait is None:
                    return response
                response.close()
            time.sleep(wait)
