"""What a gRPC status means in the words of HTTP, and who is at fault."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError

from nexus_gateway.upstreams.protocol import UpstreamFault, UpstreamSlow
from nexus_gateway.upstreams.refusals import envelope
from nexus_inference import nexus_inference_pb2 as pb

_TRAILER = "nexus-error-bin"
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.DATA_LOSS: 500,
}
"""As google.rpc.Code says of each, where the engine gives no `Error` of the contract."""
_TOO_LARGE, _ANSWER_TOO_LARGE = "message larger than max", "CLIENT: Received message larger than max"
"""gRPC's own words: only they tell a limit on messages from an engine without room, both RESOURCE_EXHAUSTED."""


@dataclass(frozen=True)
class Told:
    """What the client, or whoever decides about another try, is told."""

    status: int
    body: str
    retry_after: str = ""


def told(error: grpc.aio.AioRpcError) -> Told:
    """Raises UpstreamFault for what is no engine's answer: a broken connection, a deadline, a call given up."""
    if (said := _said(error)) is not None:
        code = said.code or None
        body = envelope(said.message[:2000], type=said.type or "server_error", param=said.param or None, code=code)
        return Told(said.status, body, str(said.retry_after_seconds or ""))
    if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
        raise UpstreamSlow("its answer did not come within the deadline")
    details = error.details() or ""
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and _ANSWER_TOO_LARGE in details:
        raise UpstreamFault("its answer is larger than the gateway takes")
    status = 413 if _too_large(error.code(), details) else _STATUSES.get(error.code())
    if status is None:
        raise UpstreamFault("it broke the connection off")
    return Told(status, envelope((details or error.code().name)[:2000], code=error.code().name.lower()))


def _too_large(code: grpc.StatusCode, details: str) -> bool:
    """The request, for the engine or for the connection: another try would be as large."""
    return code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details


def _said(error: grpc.aio.AioRpcError) -> pb.Error | None:
    """The contract's own `Error`; None where there is none, or none that can be an HTTP error."""
    for key, value in error.trailing_metadata() or ():
        if key == _TRAILER:
            try:
                said = pb.Error.FromString(value)
            except DecodeError:
                return None
            return said if 400 <= said.status <= 599 else None
    return None
