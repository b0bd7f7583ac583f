"""One HTTP server that speaks JSON, and errors that say what to do about it."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

_SECONDS = 30.0  # for an answer; importing into Kibana is the slowest


class Trouble(Exception):
    """Why the bootstrap cannot go on, and what to do."""


class Refused(Trouble):
    """The server does not take who asks; to wait does not help."""


class Server:
    def __init__(self, name: str, url: str, user: tuple[str, str] | None) -> None:
        self.name, self.url, self.user = name, url.rstrip("/"), user
        if not url.startswith(("http://", "https://")):
            raise Trouble(f"{name.upper()}_URL is {url!r}: begin it with http:// or https://")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        allowed: tuple[int, ...] = (),
        user: tuple[str, str] | None = None,
        form: tuple[str, bytes] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body: of success, or of a status in `allowed`. Any other is Trouble. `user` is asked as in the
        stead of our own; `form` is the content type and the bytes of a body that is no JSON."""
        kind, data = form or ("application/json", None if body is None else json.dumps(body).encode())
        headers = {"content-type": kind, "kbn-xsrf": "nexus"}
        if credentials := user or self.user:
            headers["authorization"] = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - the operator's URL
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - the same
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            if error.code in allowed:
                return error.code, text
            raise self._refusal(f"{method} {path}", error.code, text) from None
        except OSError as error:
            raise Trouble(self._silence(error)) from None

    def json(self, method: str, path: str, body: Any = None, *, allowed: tuple[int, ...] = ()) -> tuple[int, Any]:
        status, text = self.ask(method, path, body, allowed=allowed)
        try:
            return status, json.loads(text or b"null")
        except ValueError:
            raise Trouble(f"{self.name} at {self.url} answered {path} by no JSON: is another server there?") from None

    def wait(self, path: str, is_up: Callable[[int, Any], bool], seconds: float) -> None:
        """A refusal of who asks is no reason to wait."""
        end = time.monotonic() + seconds
        while True:
            try:
                if is_up(*self.json("GET", path, allowed=(408, 503))):
                    return
                trouble = Trouble(f"{self.name} at {self.url} is not ready after {seconds:g} s: see what it logs")
            except Refused:
                raise
            except Trouble as silent:
                trouble = silent
            if time.monotonic() >= end:
                raise trouble
            time.sleep(0.5)

    def _refusal(self, asked: str, status: int, text: bytes) -> Trouble:
        place = f"{self.name} at {self.url}"
        if status == 401:
            return Refused(f"{place} refuses the password: set ELASTIC_PASSWORD to that of the user elastic")
        if status == 403:
            return Refused(f"{place} does not allow elastic to {asked}: give it the role superuser back")
        return Trouble(f"{place} answered {asked} by {status}: {_reason(text)}")

    def _silence(self, error: OSError) -> str:
        told = getattr(error, "reason", error)
        variable = f"{self.name.upper()}_URL"
        return f"{self.name} does not answer at {self.url} ({told}): start it, or set {variable} to where it is"


def _reason(text: bytes) -> str:
    """Elasticsearch's and Kibana's own words, in one line."""
    try:
        answer = json.loads(text)
        error = answer.get("error", answer)
        told = error.get("reason", error.get("message", error)) if isinstance(error, dict) else answer.get("message")
    except (ValueError, AttributeError):
        told = text.decode(errors="replace")
    return " ".join(str(told).split())[:500]
