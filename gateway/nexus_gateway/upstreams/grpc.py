"""`grpc://host:port` and `grpcs://host:port`: engines that speak `serving/contracts/nexus_inference.proto`.

A call to an engine has the deadline of its route, and is cancelled when its client leaves. There is one channel an
endpoint, which makes one connection for all calls. With TLS a new one is made when the certificates' files change;
calls that are under way end on the old one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from nexus_gateway.exchange import Headers
from nexus_gateway.routes_file import TlsFile
from nexus_gateway.surfaces import SURFACES, Api
from nexus_gateway.upstreams import grpc_answers, grpc_body, grpc_status
from nexus_gateway.upstreams.certificates import UpstreamTls
from nexus_gateway.upstreams.produced import ProducedAnswer
from nexus_gateway.upstreams.protocol import Answer, Call, ConnectSlow, NotConnected, ResponseHead, UpstreamFault
from nexus_gateway.upstreams.refusals import NotTaken, envelope
from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

_TOLD = frozenset({b"authorization", b"traceparent", b"tracestate", b"x-request-id", b"x-trace-id"})
_LARGEST = 64 << 20  # bytes of a message: an answer of embeddings is large
_LONGEST_CALL = 3600.0  # seconds; by then its own deadline has ended it
OPTIONS = (
    ("grpc.max_receive_message_length", _LARGEST),
    ("grpc.max_send_message_length", _LARGEST),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),  # retries are the gateway's
    # A host that is gone answers nothing, not even a reset: what is sent has to be taken within the second of these.
    # More than a ping in five minutes is an attack to a gRPC server, which then ends every call.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),  # a channel's connection is its own
    ("grpc.enable_http_proxy", 0),
)


@dataclass(frozen=True)
class _Method:
    """An API by gRPC."""

    request: Callable[[Mapping[str, Any]], Any]
    name: str
    whole: Callable[[Any, Mapping[str, Any]], dict[str, Any]]
    stream: str = ""
    """Empty where it streams none."""
    events: Callable[..., Iterator[bytes]] = grpc_answers.chat_events


_METHODS: Mapping[Api, _Method] = {
    "chat": _Method(grpc_body.chat, "Chat", lambda answer, _: grpc_answers.chat(answer), "StreamChat"),
    "completions": _Method(
        grpc_body.completion,
        "Complete",
        lambda answer, _: grpc_answers.completion(answer),
        "StreamComplete",
        grpc_answers.completion_events,
    ),
    "embeddings": _Method(
        grpc_body.embedding,
        "Embed",
        lambda answer, asked: grpc_answers.embedding(answer, asked.get("encoding_format") or "float"),
    ),
}


class GrpcUpstream:
    def __init__(self, url: str, files: TlsFile, tls: UpstreamTls | None, address: str | None) -> None:
        """`tls` is None for a connection that is not encrypted; `address` is connected to in place of the URL's."""
        self._host = urlsplit(url).netloc
        self._target, self._files, self._tls = address or self._host, files, tls
        self._channel: grpc.aio.Channel | None = None
        self._made_with: ssl.SSLContext | None = None

    def send(self, call: Call) -> Answer:
        return ProducedAnswer(lambda answer: self._answer(call, answer))

    def close(self) -> None:
        """Calls that are under way go on."""
        channel, self._channel = self._channel, None
        if channel is not None:
            _let_go(channel)

    async def well(self, seconds: float, headers: Headers) -> bool:
        """By the contract's CheckHealth, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                stub = await self._connected(seconds)
                said = await stub.CheckHealth(pb.CheckHealthRequest(), metadata=_metadata(headers))
        except (grpc.aio.AioRpcError, UpstreamFault, TimeoutError):
            return False
        return bool(said.state == pb.CheckHealthAnswer.STATE_SERVING)

    async def _answer(self, call: Call, answer: ProducedAnswer) -> None:
        """Raises UpstreamFault."""
        surface = SURFACES.get(call.path)
        method = _METHODS.get(surface.api) if surface else None
        if method is None:
            return await answer.tell(501, envelope("an engine that is asked by gRPC does not speak that API"))
        try:
            asked = grpc_body.read(call.body)
            request = method.request(asked)
        except NotTaken as error:
            return await answer.tell(400, envelope(str(error), param=error.field))
        stub = await self._connected(call.connect_seconds)
        how = {"timeout": call.total_seconds, "metadata": _metadata(call.headers)}
        if asked.get("stream") and method.stream:
            await _relay(getattr(stub, method.stream)(request, **how), method, answer)
            return None
        try:
            given = await getattr(stub, method.name)(request, **how)
        except grpc.aio.AioRpcError as error:
            told = grpc_status.told(error)
            return await answer.tell(told.status, told.body, told.retry_after)
        return await answer.tell(200, json.dumps(method.whole(given, asked), ensure_ascii=False))

    async def _connected(self, seconds: float) -> Any:
        """The stub of a channel that has a connection. Raises NotConnected at the first try that fails."""
        channel = self._opened()
        try:
            async with asyncio.timeout(seconds):
                state = channel.get_state(try_to_connect=True)
                while state != grpc.ChannelConnectivity.READY:
                    if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise NotConnected("it cannot be connected to")
                    await channel.wait_for_state_change(state)
                    state = channel.get_state(try_to_connect=True)
        except TimeoutError:
            raise ConnectSlow("it did not take the connection in time") from None
        return InferenceStub(channel)

    def _opened(self) -> grpc.aio.Channel:
        """Raises NotConnected where the files for TLS have never been good."""
        context = self._tls.context if self._tls else None
        if self._channel is not None and context is not self._made_with:
            self.close()
        if self._channel is None:
            self._made_with = context
            options = (*OPTIONS, ("grpc.default_authority", self._host))
            if self._tls is None:
                self._channel = grpc.aio.insecure_channel(self._target, options)
            elif context is None:
                raise NotConnected("the files for its TLS cannot be used")
            else:
                named = (*options, ("grpc.ssl_target_name_override", urlsplit(f"//{self._host}").hostname))
                self._channel = grpc.aio.secure_channel(self._target, _credentials(self._files, context), named)
        return self._channel


_LEAVING: set[asyncio.Task[None]] = set()
"""Channels that close once their last calls have ended; a task that nobody holds may be collected before."""


def _let_go(channel: grpc.aio.Channel) -> None:
    task = asyncio.get_running_loop().create_task(channel.close(grace=_LONGEST_CALL))
    _LEAVING.add(task)
    task.add_done_callback(_LEAVING.discard)


async def _relay(stream: Any, method: _Method, answer: ProducedAnswer) -> None:
    """Begins with the first piece, so that a refusal before it is still a status. Raises UpstreamFault."""
    begun = ended = False
    try:
        async for piece in stream:
            if not begun:
                answer.begin(ResponseHead(200, [(b"content-type", b"text/event-stream")]))
            for event in method.events(piece, first=not begun):
                await answer.put(event)
            begun, ended = True, piece.HasField("usage")
    except grpc.aio.AioRpcError as error:
        told = grpc_status.told(error)
        if begun:
            raise UpstreamFault("it failed in the middle of its answer") from None
        return await answer.tell(told.status, told.body, told.retry_after)
    finally:
        stream.cancel()  # also where the client has left: nothing else tells the engine
    if not ended:
        raise UpstreamFault("its stream ended before its end mark")
    await answer.put(grpc_answers.END)
    return None


def _metadata(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode(), value.decode("latin-1")) for name, value in headers if name in _TOLD)


def _credentials(files: TlsFile, context: ssl.SSLContext) -> grpc.ChannelCredentials:
    """Raises NotConnected where the files have gone since the context was made of them."""
    authorities = "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
    try:
        pair = [Path(path).read_bytes() for path in (files.key, files.certificate) if path]
    except OSError:
        raise NotConnected("the files for its TLS cannot be used") from None
    key, certificate = pair if pair else (None, None)
    return grpc.ssl_channel_credentials(authorities.encode() or None, key, certificate)
