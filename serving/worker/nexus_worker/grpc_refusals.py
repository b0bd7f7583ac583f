"""What the worker refuses, as gRPC's status and an error of the contract beside it."""

from __future__ import annotations

import logging
from typing import TypeAlias

import grpc

from nexus_inference import nexus_inference_pb2 as pb
from nexus_worker.errors import ApiError

Context: TypeAlias = grpc.aio.ServicerContext

_log = logging.getLogger("nexus.worker")

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP's status -> gRPC's; any other is INTERNAL."""
_ERROR = "nexus-error-bin"


class Refusing:
    """Tells what is raised within as gRPC's status, with the same words as over HTTP."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if not isinstance(error, Exception):
            return  # cancelled, closed, or nothing at all
        if not isinstance(error, ApiError):
            _log.error("a call failed", exc_info=error)
            error = ApiError(500, "InternalServerError", "the engine failed; see the worker's log")
        detail = pb.Error(
            status=error.status,
            type=error.type,
            message=str(error),
            param=error.param or "",
            code=str(error.status),
            retry_after_seconds=error.retry_after,
        )
        code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
        await self._context.abort(code, str(error), ((_ERROR, detail.SerializeToString()),))
