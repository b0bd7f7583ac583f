"""Which requests go past FastAPI to the story, and that whatever else comes is FastAPI's as before."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from nexus_gateway.app import create_app
from nexus_gateway.surfaces import KEPT, SURFACES

from .test_exchange import BODY, HEADERS, make_gateway

APP = create_app(make_gateway())
PATH = "/v1/chat/completions"


@pytest.fixture
def fastapi(monkeypatch: pytest.MonkeyPatch) -> list[Scope]:
    """What was FastAPI's."""
    seen: list[Scope] = []
    before = APP.router.__class__.__call__

    async def counted(router: Any, scope: Scope, *given: Any) -> None:
        seen.append(scope)
        await before(router, scope, *given)

    monkeypatch.setattr(APP.router.__class__, "__call__", counted)
    monkeypatch.setattr(APP, "middleware_stack", None)
    return seen


def asked(**scope: Any) -> list[Message]:
    """The answer's messages."""
    messages: list[Message] = [{"type": "http.request", "body": BODY}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Event().wait()  # type: ignore[return-value]  # never

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {
        "type": "http", "method": "POST", "path": PATH, "root_path": "", "headers": HEADERS, "query_string": b"",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "scheme": "http", **scope,
    }  # fmt: skip
    asyncio.run(APP(whole, receive, send))  # type: ignore[arg-type]  # it is a coroutine
    return sent


@pytest.mark.parametrize("path", SURFACES)
def test_a_post_to_a_relayed_path_goes_past_fastapi(path: str, fastapi: list[Scope]) -> None:
    sent = asked(path=path)
    assert sent[0]["status"] in (200, 400, 404)
    assert (b"x-request-id", b"r-1") in sent[0]["headers"]
    assert not fastapi


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "HEAD"}, 405),
        ({"method": "OPTIONS"}, 405),
        ({"path": PATH + "/"}, 404),
        ({"path": "/v1/chat%2fcompletions"}, 404),
        ({"path": "/nowhere"}, 404),
        ({"path": "/health", "method": "GET"}, 200),
        ({"path": "/openapi.json", "method": "GET"}, 200),
        *(({"path": path.replace("{response_id}", "resp_0"), "method": KEPT[path].methods[0]}, 404) for path in KEPT),
    ],
)
def test_whatever_else_comes_is_fastapi_s(scope: dict[str, Any], status: int, fastapi: list[Scope]) -> None:
    assert asked(**scope)[0]["status"] == status
    assert len(fastapi) == 1


@pytest.mark.parametrize(("root_path", "path"), [("/ai", "/ai" + PATH), ("/ai", PATH), ("/v1", PATH)])
def test_an_app_under_another_path_is_fastapi_s(root_path: str, path: str, fastapi: list[Scope]) -> None:
    assert (asked(root_path=root_path, path=path)[0]["status"] == 200) is ((root_path, path) == ("/ai", PATH))
    assert len(fastapi) == 1


def test_a_websocket_to_a_relayed_path_is_refused_by_fastapi(fastapi: list[Scope]) -> None:
    assert [message["type"] for message in asked(type="websocket")] == ["websocket.close"]
    assert len(fastapi) == 1


def test_the_server_s_life_is_fastapi_s(fastapi: list[Scope]) -> None:
    messages: list[Message] = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(APP({"type": "lifespan", "state": {}}, receive, send))  # type: ignore[arg-type]  # as above
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(fastapi) == 1


def test_a_fault_of_our_own_on_either_way_is_told_and_says_nothing_of_it() -> None:
    """A gateway without its parts has one."""

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(create_app(None), raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post(path, content=BODY)

    past, by_fastapi = (asyncio.run(ask(path)) for path in (PATH, "/v1/responses/resp_0/cancel"))
    for answer in (past, by_fastapi):
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert "NoneType" not in answer.text
    assert past.headers.keys() == by_fastapi.headers.keys()
