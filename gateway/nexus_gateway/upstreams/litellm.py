"""`litellm://provider/model`: hosted providers, in their own words, by the library litellm.

The library has its own ideas of retries, keys, addresses and logs. None is left to it: it gets a transport for one
request to one origin, the key of the route file, fields that are OpenAI's, and no environment to find others in.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import json
import logging
import os
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from nexus_gateway.routes_file import TlsFile, UpstreamFile
from nexus_gateway.surfaces import SURFACES
from nexus_gateway.upstreams.certificates import UpstreamTls
from nexus_gateway.upstreams.hosted_body import arguments
from nexus_gateway.upstreams.one_request import OneRequest
from nexus_gateway.upstreams.produced import ProducedAnswer
from nexus_gateway.upstreams.protocol import Answer, Call, ResponseHead, UpstreamFault, UpstreamSlow
from nexus_gateway.upstreams.providers import PROVIDERS
from nexus_gateway.upstreams.refusals import NotTaken, envelope
from nexus_gateway.upstreams.transport import PoolTransport

MISSING = "litellm is not installed here: pip install 'nexus-platform[litellm]'"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that are no setting of any provider."""
_OWN = {
    "LITELLM_MODE": "PRODUCTION",  # else it reads a file .env
    "LITELLM_LOG": "CRITICAL",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices at every start
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "REPEATED_STREAMING_CHUNK_LIMIT": "1000000000",  # else it ends an answer that repeats itself
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_PATIENT_SECONDS = 3600.0  # deadlines are ours
_LARGEST_STREAM = 64 << 20  # bytes; the library keeps a stream until its end
_PREFIX = re.compile(r"^(?:[A-Za-z_.0-9]*(?:Error|Exception)\b(?: -|:) ?)+")
"""The library's names for an error, before the provider's words."""


def check(file: UpstreamFile, url: SplitResult) -> None:
    """Raises ValueError."""
    if url.netloc not in PROVIDERS or not url.path.strip("/"):
        raise ValueError(f"write litellm://provider/model, with one of {', '.join(PROVIDERS)}")
    if file.credential_env is None:
        raise ValueError("a hosted provider needs credential_env")
    if file.model is not None:
        raise ValueError("model stands in the url of a hosted provider")
    if file.health is not None or file.tls != TlsFile():
        raise ValueError("a hosted provider takes no health check and no tls of ours")


@functools.cache
def prepare() -> None:
    """Loads the library: seconds, and 200 MiB. Takes this process's environment away first, since the library looks for
    keys, addresses and proxies in several hundred variables; the gateway has read its own before.

    Raises ValueError where the library is not installed.
    """
    if importlib.util.find_spec("litellm") is None:
        raise ValueError(MISSING)
    for name in [name for name in os.environ if name not in _KEPT and not name.startswith("PYTHON")]:
        del os.environ[name]
    os.environ.update(_OWN)
    import litellm

    for name in _LOGGERS:
        logging.getLogger(name).disabled = True
    litellm.suppress_debug_info = True  # else it prints on standard output
    litellm.telemetry = False
    litellm.disable_token_counter = True  # its estimates are no engine's account, and fetch tokenizers
    litellm.disable_hf_tokenizer_download = True
    asyncio.run(_rehearse())


async def _rehearse() -> None:
    """The library loads the half of itself at its first call, which would hold up every request for seconds."""
    for provider in ("openai", "anthropic"):
        upstream = LitellmUpstream(f"litellm://{provider}/rehearsal", "", UpstreamTls())
        for stream in (False, True):
            one = OneRequest(httpx.MockTransport(_rehearsed), httpx.URL(upstream.api_base))
            asked = {"messages": [{"role": "user", "content": ""}], "stream": stream}
            with contextlib.suppress(Exception):  # what it makes of this answer does not matter
                given = await upstream.ask("chat", asked, "rehearsal", one)
                if stream:
                    await anext(given)


def _rehearsed(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"id": "", "object": "chat.completion", "choices": [], "usage": {}})


class LitellmUpstream:
    def __init__(self, url: str, api_base: str, tls: UpstreamTls) -> None:
        """`api_base` is where the provider is; empty: where it is known to be."""
        parts = urlsplit(url)
        self._provider = PROVIDERS[parts.netloc]
        self.model = f"{parts.netloc}{parts.path}"
        self.api_base = api_base or self._provider.api_base
        self._whole, self._streams = PoolTransport(tls), PoolTransport(tls, largest=_LARGEST_STREAM)

    def send(self, call: Call) -> Answer:
        return ProducedAnswer(lambda answer: self._answer(call, answer))

    def close(self) -> None:
        self._whole.close()
        self._streams.close()

    async def _answer(self, call: Call, answer: ProducedAnswer) -> None:
        """Raises UpstreamFault."""
        surface = SURFACES[call.path]
        if surface.api != "chat" and not (surface.api == "embeddings" and self._provider.sdk):
            return await answer.tell(501, envelope("this provider is not asked by that API"))
        try:
            asked = arguments(surface, call.body)
        except NotTaken as error:
            return await answer.tell(400, envelope(str(error), param=error.field))
        stream = bool(asked.get("stream"))
        one = OneRequest(self._streams if stream else self._whole, httpx.URL(self.api_base))
        try:
            given = await self.ask(surface.api, asked, _key(call), one)
            await (_relay(given, answer) if stream else answer.tell(200, _openai(given)))
        except UpstreamFault:
            raise
        except Exception as error:  # of a hundred classes: what came over the wire says what it was
            await _tell_failure(answer, one, error)
        finally:
            await one.aclose()

    async def ask(self, api: str, asked: dict[str, Any], key: str, one: OneRequest) -> Any:
        import litellm

        settings = {
            "model": self.model,
            "api_key": key,
            "api_base": self.api_base,
            "client": self._client(key, one),
            "timeout": _PATIENT_SECONDS,
            "max_retries": 0,
            "num_retries": 0,
        }
        if api == "embeddings":
            return await litellm.aembedding(**settings, **asked)
        # Without that setting a request with tools needs the package mcp, and an agent would run in this process.
        return await litellm.acompletion(**settings, **asked, _skip_mcp_handler=True)

    def _client(self, key: str, one: OneRequest) -> Any:
        if self._provider.sdk:
            from openai import AsyncOpenAI

            http = httpx.AsyncClient(transport=one, trust_env=False)
            return AsyncOpenAI(api_key=key, base_url=self.api_base, http_client=http, max_retries=0)  # type: ignore[arg-type]  # httpx's: openai 2 comes with litellm
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        return AsyncHTTPHandler(transport=one, follow_redirects=False)


async def _relay(stream: Any, answer: ProducedAnswer) -> None:
    """Begins with the first event, so that a refusal before it is still a status."""
    begun = False
    async for chunk in stream:
        if _made_up(stream, chunk):
            break
        if not begun:
            answer.begin(ResponseHead(200, [(b"content-type", b"text/event-stream")]))
            begun = True
        await answer.put(b"data: " + _openai(chunk).encode() + b"\n\n")
    if not _finished(stream):
        raise UpstreamFault("its stream ended before its end mark")
    await answer.put(b"data: [DONE]\n\n")


def _openai(given: Any) -> str:
    """Without the library's many fields that say nothing; what OpenAI's schema needs stays, null or not."""
    document = given.model_dump(exclude_none=True)
    for choice in document.get("choices", ()):
        choice.setdefault("finish_reason", None)
        if "message" in choice:
            choice["message"].setdefault("content", None)
    if document.get("usage") and not any(_says(choice) for choice in document.get("choices", ())):
        document["choices"] = []
    return json.dumps(document)


def _says(choice: dict[str, Any]) -> bool:
    """False of the empty choice that the library puts beside a stream's usage."""
    return bool(choice.get("message") or choice.get("delta") or choice["finish_reason"])


def _made_up(stream: Any, chunk: Any) -> bool:
    """The library ends a stream that broke off as if it had stopped by itself."""
    return not _finished(stream) and any(choice.finish_reason for choice in chunk.choices)


def _finished(stream: Any) -> bool:
    return bool(stream.received_finish_reason or stream.intermittent_finish_reason)


async def _tell_failure(answer: ProducedAnswer, one: OneRequest, error: Exception) -> None:
    """What came over the wire is the truth. Where nothing was sent, the library has refused the request itself.

    Raises UpstreamFault.
    """
    if one.fault is not None:
        raise (UpstreamSlow if isinstance(one.fault, httpx.TimeoutException) else UpstreamFault)(str(one.fault))
    status = one.response.status_code if one.response else getattr(error, "status_code", 500)
    if status == 200 or (not one.response and not 400 <= status < 500):
        raise UpstreamFault("its answer is not what the provider's API says")
    headers = one.response.headers if one.response else {}
    await answer.tell(status, _complaint(error), headers.get("retry-after", ""))


def _complaint(error: Exception) -> str:
    """In OpenAI's envelope; the provider's own where it came in one."""
    body = getattr(error, "body", None)
    told = body.get("error", body) if isinstance(body, dict) else {}
    if isinstance(told, dict) and isinstance(told.get("message"), str):
        return json.dumps({"error": {"type": "invalid_request_error", "param": None, "code": None} | told})
    return envelope(_PREFIX.sub("", str(getattr(error, "message", error)))[:2000])


def _key(call: Call) -> str:
    """The upstream's own; the story puts it there as for any other."""
    return dict(call.headers)[b"authorization"].decode().removeprefix("Bearer ")
