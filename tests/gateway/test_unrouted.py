"""What is no request of an API has an error's envelope all the same, of the API that the path belongs to."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import httpx
import pytest

from nexus_gateway.app import create_app
from nexus_gateway.gateway import Gateway as Parts

from ..support.gateway import Gateway, code
from .test_requests import raw

PAGES = ["/health", "/ready", "/metrics", "/openapi.json", "/v1/models", "/v1/circuit-breakers", "/admin/config"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/",
        "/console/x.js",
        "/v1",
        "/v1/models/",
        "/v1/chat/completions/",
        "/v1/chat//completions",
        "/%00",
    ],
)
def test_a_path_that_is_not_there_is_404_and_leads_nowhere_else(gateway: Gateway, method: str, path: str) -> None:
    answer = httpx.request(method, gateway.url + path, timeout=30)
    assert (answer.status_code, code(answer)) == (404, "page_not_found")
    assert "location" not in answer.headers
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", {"POST"}),
        ("HEAD", "/v1/embeddings", {"POST"}),
        ("DELETE", "/v1/responses", {"POST"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PUT", "/v1/models", {"GET", "HEAD"}),
        ("PATCH", "/metrics", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_405_and_says_which_are_taken(
    gateway: Gateway, method: str, path: str, allowed: set[str]
) -> None:
    answer = httpx.request(method, gateway.url + path, timeout=30)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert method == "HEAD" or code(answer) == "method_not_allowed"


@pytest.mark.parametrize(("path", "method"), [("/v1/messages", "GET"), ("/v1/messages/batches", "POST")])
def test_anthropic_s_clients_are_told_in_their_own_envelope(gateway: Gateway, path: str, method: str) -> None:
    answer = httpx.request(method, gateway.url + path, headers={"x-request-id": "mine"}, timeout=30)
    told = answer.json()
    assert told["type"] == "error"
    assert told["error"]["code"] in ("method_not_allowed", "page_not_found")
    assert told["request_id"] == answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_answers_head_as_get_and_without_a_body(gateway: Gateway, path: str) -> None:
    headers = {"authorization": "Bearer dev-key"}
    head, get = (httpx.request(method, gateway.url + path, headers=headers, timeout=30) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("query", ["?", "?a", "?a=%ff&&=", "?" + "a" * 8000, "?model=other"])
def test_a_query_is_nobody_s_business(gateway: Gateway, query: str) -> None:
    asked = httpx.URL(gateway.url + "/v1/chat/completions" + query)
    answer = httpx.post(asked, json={"model": "ok"}, headers={"x-api-key": "dev-key"}, timeout=30)
    assert (answer.status_code, answer.headers["x-nexus-route"]) == (200, "ok")


@pytest.mark.parametrize(
    ("head", "status", "told"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", b"400", "invalid_head"),
        (b"no HTTP\r\n\r\n", b"400", "invalid_head"),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 40_000 + b"\r\n\r\n", b"431", "head_too_large"),
        (b"a" * 40_000, b"431", "head_too_large"),
        (b"GET /v1/messages HTTP/1.1\r\n\r\n", b"400", "invalid_head"),
    ],
    ids=["no host", "no HTTP", "too large", "no end", "under messages"],
)
def test_what_cannot_be_read_as_a_request_is_told_so_too(
    gateway: Gateway, head: bytes, status: bytes, told: str
) -> None:
    found, _, body = raw(gateway, head).partition(b"\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 " + status)
    assert b"x-request-id: " in found
    document = json.loads(body)
    assert document["error"]["code"] == told
    assert (document.get("type") == "error") is (b"messages" in head)


def test_a_fault_of_our_own_in_a_page_is_told_too_and_says_nothing_of_it() -> None:
    """A gateway without its parts has one."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(cast(Parts, None)), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get("/ready")

    answer = asyncio.run(ask())
    assert (answer.status_code, code(answer)) == (500, "internal_error")
    assert "NoneType" not in answer.text
