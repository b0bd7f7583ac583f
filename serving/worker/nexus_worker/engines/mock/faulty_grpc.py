"""Faults of the mock by gRPC: before a call's answer, or amid its pieces. What only HTTP can break strikes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from nexus_worker.engines.mock.faults import Fault, Faults, refusal
from nexus_worker.errors import ApiError
from nexus_worker.grpc_refusals import Context, Refusing

_HEALTH, _MODELS = "/CheckHealth", "/ListModels"


class FaultyGrpc(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package has no types
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or details.method.endswith(_MODELS):
            return handler
        if details.method.endswith(_HEALTH):
            return _unary(handler, Fault(kind="refuse")) if self._faults.red else handler
        fault = self._faults.strike()
        if fault is None:
            return handler
        return _streamed(handler, fault) if handler.response_streaming else _unary(handler, fault)


def _unary(handler: Any, fault: Fault) -> Any:
    async def answer(request: Any, context: Context) -> Any:
        await _before(fault, context)
        told = await handler.unary_unary(request, context)
        await _amid(fault, context)
        return told

    return _like(handler, grpc.unary_unary_rpc_method_handler, answer)


def _streamed(handler: Any, fault: Fault) -> Any:
    """Of one request or of many."""

    async def pieces(request: Any, context: Context) -> AsyncIterator[Any]:
        await _before(fault, context)
        number = 0
        async for piece in (handler.stream_stream or handler.unary_stream)(request, context):
            if number == fault.chunks:
                await _amid(fault, context)
            yield piece
            number += 1

    both = grpc.stream_stream_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return _like(handler, both[0] if handler.request_streaming else both[1], pieces)


def _like(handler: Any, made: Callable[..., Any], behaviour: Callable[..., Any]) -> Any:
    return made(behaviour, handler.request_deserializer, handler.response_serializer)


async def _before(fault: Fault, context: Context) -> None:
    answer = refusal(fault)
    if answer is not None and fault.code:
        await context.abort(grpc.StatusCode[fault.code], answer[2])
    if answer is not None:
        async with Refusing(context):
            raise ApiError(*answer, retry_after=fault.retry_after)
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "never":
        await asyncio.Event().wait()  # the call's own cancellation or deadline ends it


async def _amid(fault: Fault, context: Context) -> None:
    if fault.kind == "stall":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "cut":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the mock cuts the call off")
