"""Faults of the mock on the wire of HTTP: around the app, which does not know of them."""

from __future__ import annotations

import asyncio

from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_worker.engines.mock.faults import BadFault, Fault, Faults, refusal
from nexus_worker.errors import ApiError

_SWITCH = "/mock/faults"
_TORN = b'data: {"choices": [{"delta": {"content"\n\n'


class FaultyHttp:
    def __init__(self, app: ASGIApp, faults: Faults, *, switch: bool) -> None:
        """`switch`: faults may be set by PUT /mock/faults, by anybody who reaches the port."""
        self._app, self._faults, self._switch = app, faults, switch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answering(scope, receive))(scope, receive, send)

    async def _answering(self, scope: Scope, receive: Receive) -> ASGIApp:
        """What answers this request."""
        if scope["type"] != "http":
            return self._app
        path, method = scope["path"], scope["method"]
        if self._switch and path == _SWITCH:
            return await _switched(self._faults, Request(scope, receive))
        if self._faults.red and (path == "/health" or path.endswith("/ready")):
            return Response(status_code=503)
        fault = self._faults.strike() if method == "POST" and path.startswith("/v1/") else None
        return self._app if fault is None else _struck(self._app, fault)


async def _switched(faults: Faults, request: Request) -> Response:
    """GET tells, PUT sets `{"faults": [TEXT, …]}` in place of all before."""
    try:
        if request.method == "PUT":
            asked = await request.json()
            said = asked.get("faults") if isinstance(asked, dict) else None
            if not (isinstance(said, list) and all(isinstance(text, str) for text in said)):
                raise BadFault("give a list of texts, as --mock-fault takes them")
            faults.arm(said)
        elif request.method != "GET":
            raise ApiError(405, "MethodNotAllowedError", f"{request.method}: take GET or PUT")
    except ValueError as error:
        return _refused(ApiError.bad_request(f"faults: {error}", "faults"))
    except ApiError as error:
        return _refused(error)
    return JSONResponse({"faults": list(faults.said)})


def _refused(error: ApiError) -> Response:
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return JSONResponse(error.envelope(), error.status, headers=headers)


def _struck(app: ASGIApp, fault: Fault) -> ASGIApp:
    answer = refusal(fault)
    if answer is not None:
        return _refused(ApiError(*answer, retry_after=fault.retry_after))
    if fault.kind == "empty":
        return Response(media_type="application/json")
    return _never if fault.kind == "never" else _Bent(app, fault)


async def _never(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Bent:
    """The app's own answer, changed on its way."""

    def __init__(self, app: ASGIApp, fault: Fault) -> None:
        self._app, self._fault = app, fault
        self._left = asyncio.Event()
        self._streamed, self._seen = True, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Where it is cut it returns without an end, and the server closes the connection."""
        await self._app(scope, lambda: self._heard(receive), lambda message: self._sent(message, send))

    async def _heard(self, receive: Receive) -> Message:
        """A cut looks to the app as if the client had left, so that the engine stops."""
        heard, left = asyncio.ensure_future(receive()), asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({heard, left}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if self._left.is_set() else heard.result()
        finally:
            for task in (heard, left):
                task.cancel()

    async def _sent(self, message: Message, send: Send) -> None:
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            await self._begun(message)
        elif message.get("body"):
            self._seen += 1
            if self._seen == (self._fault.chunks + 1 if self._streamed else 1):
                message = await self._struck(message)
        await send(message)

    async def _begun(self, message: Message) -> None:
        headers = MutableHeaders(raw=message["headers"])
        self._streamed = "content-length" not in headers
        if self._fault.kind == "slow":
            await asyncio.sleep(self._fault.seconds)
        elif self._fault.kind == "content-type":
            headers["content-type"] = "text/html"
        elif self._fault.kind in {"malformed", "oversize"}:
            del headers["content-length"]

    async def _struck(self, message: Message) -> Message:
        body = message["body"]
        if self._fault.kind == "stall":
            await asyncio.sleep(self._fault.seconds)
        elif self._fault.kind == "cut":
            self._left.set()
            return {**message, "body": body[: len(body) // 2], "more_body": True}
        elif self._fault.kind == "malformed":
            return {**message, "body": _TORN if self._streamed else body[: len(body) // 2]}
        elif self._fault.kind == "oversize":
            return {**message, "body": _padded(body, self._fault.bytes)}
        return message


def _padded(body: bytes, size: int) -> bytes:
    """The same event or object with spaces, which JSON allows."""
    event = b"data: " if body.startswith(b"data: ") else b""
    return event + b" " * max(0, size - len(body)) + body.removeprefix(event)
