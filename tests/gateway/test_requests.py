"""What a request must be, and how much of it is read."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import httpx
import pytest

from ..support.gateway import PLAIN, Gateway, code
from ..support.upstream import Engine

KEY = {"authorization": "Bearer dev-key"}


def post(gateway: Gateway, body: bytes, **headers: str) -> httpx.Response:
    given = {**KEY, "content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=given, timeout=30, verify=PLAIN)


def raw(gateway: Gateway, data: bytes) -> bytes:
    """Everything that comes back until the gateway closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        found = b""
        with suppress(ConnectionError):  # where it has not read all, it closes by a reset
            client.sendall(data)
        with suppress(ConnectionError):
            while piece := client.recv(65536):
                found += piece
        return found


BAD = {
    "empty": b"",
    "no JSON": b"{",
    "two documents": b'{"model":"ok"}{"model":"ok"}',
    "array": b"[]",
    "null": b"null",
    "no model": b"{}",
    "model is a number": b'{"model": 1}',
    "model is empty": b'{"model": ""}',
    "model is long": json.dumps({"model": "m" * 129}).encode(),
    "stream is text": b'{"model": "ok", "stream": "yes"}',
    "NaN": b'{"model": "ok", "temperature": NaN}',
    "invalid UTF-8": b'{"model": "ok", "x": "\xff"}',
    "UTF-16": '{"model": "ok"}'.encode("utf-16"),
    "model twice": b'{"model": "ok", "model": "500"}',
    "model in two cases": b'{"model": "ok", "Model": "500"}',
    "stream in another case": b'{"model": "ok", "STREAM": true}',
    "model twice by an escape": b'{"model": "ok", "\\u006dodel": "500"}',
    "deep": b'{"model": "ok", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "digits without end": b'{"model": "ok", "model2": {"model": 1}, "x": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_could_be_read_in_two_ways_is_400(gateway: Gateway, engine: Engine, name: str) -> None:
    asked = len(engine.seen)
    answer = post(gateway, BAD[name])
    assert (answer.status_code, code(answer)) == (400, "invalid_body")
    assert len(engine.seen) == asked


def test_a_hostile_body_of_the_largest_size_holds_nobody_up(gateway: Gateway) -> None:
    """Texts without an end, escapes and brackets by the million: what walks them walks once. A walk that began again
    at every quote would take hours, so that the client's own deadline of 30 s is no stopwatch."""
    size = 4_000_000
    bodies = [
        b'{"model":"ok","x":[' + b"[]," * 70 + b'0],"y":"' + b'\\"' * (size // 2),
        b'{"model":"ok","e":"\\u00e9","m":[' + b"{}," * (size // 3) + b"{}]}",
        b'{"model":"ok","x":"' + b"[" * size + b'"}',
    ]
    statuses = [post(gateway, body).status_code for body in bodies]
    assert statuses == [400, 200, 200]


def test_the_same_key_deeper_down_is_nobody_s_business(gateway: Gateway) -> None:
    body = b'{"model": "ok", "messages": [], "tools": [{"model": "x", "stream": 1, "user": {}}]}'
    assert post(gateway, body).status_code == 200


def test_the_body_goes_on_byte_for_byte(gateway: Gateway, engine: Engine) -> None:
    body = b'{ "messages":[ ], "unknown" : 1.50, "model":"ok","text":"\xc3\xa9 \\u00e9" }'
    assert post(gateway, body).status_code == 200
    assert engine.of("ok")[-1].body == body


def test_nothing_of_the_client_s_own_reaches_the_engine(gateway: Gateway, engine: Engine) -> None:
    post(
        gateway,
        b'{"model":"ok"}',
        cookie="a=b",
        x_api_key="dev-key",
        x_nexus_release="f" * 64,
        x_forwarded_for="9.9.9.9",
    )
    headers = engine.of("ok")[-1].headers
    assert set(headers) == {"host", "content-type", "accept", "accept-encoding", "content-length", "x-request-id",
                            "x-trace-id", "traceparent"}  # fmt: skip
    assert headers["accept-encoding"] == "identity"
    assert "dev-key" not in str(headers)


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_other_media_are_415(gateway: Gateway, media: str) -> None:
    answer = post(gateway, b'{"model":"ok"}', content_type=media)
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")


def test_a_compressed_body_is_415(gateway: Gateway) -> None:
    assert post(gateway, b'{"model":"ok"}', content_encoding="gzip").status_code == 415


def test_a_body_over_the_limit_is_413_before_it_is_sent(gateway: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev-key\r\n"
    found = raw(gateway, head + b"content-type: application/json\r\ncontent-length: 5000000\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in found


def test_a_chunked_body_over_the_limit_is_413(gateway: Gateway) -> None:
    def pieces() -> list[bytes]:
        return [b'{"model":"ok","x":"', *([b"x" * 65536] * 80), b'"}']

    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        content=iter(pieces()),
        headers={**KEY, "content-type": "application/json"},
        timeout=30,
    )
    assert answer.status_code == 413


def test_an_unknown_model_is_404_and_not_echoed(gateway: Gateway) -> None:
    answer = gateway.ask("no-such-model-<script>")
    assert (answer.status_code, code(answer)) == (404, "model_not_found")
    assert "script" not in answer.text


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: " + b"a" * 40_000, b"431"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(200)) + b"\r\n", b"431"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", b"400"),
        (b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\xa5 not HTTP\r\n\r\n", b"400"),
    ],
    ids=["one header too large", "a head without end", "too many headers", "no host", "two hosts",
         "two framings", "no HTTP"],
)  # fmt: skip
def test_a_head_that_is_too_large_or_ambiguous_is_refused_and_closed(
    gateway: Gateway, head: bytes, status: bytes
) -> None:
    assert raw(gateway, head).startswith(b"HTTP/1.1 " + status)


def test_ids_of_the_client_are_continued(gateway: Gateway, engine: Engine) -> None:
    parent = "00-" + "4" * 32 + "-" + "5" * 16 + "-01"
    answer = gateway.ask("ok", headers={"x-request-id": "my-request", "traceparent": parent})
    assert (answer.headers["x-request-id"], answer.headers["x-trace-id"]) == ("my-request", "4" * 32)
    assert engine.of("ok")[-1].headers["x-request-id"] == "my-request"
    assert answer.headers["traceparent"].split("-")[1] == "4" * 32
    assert answer.headers["traceparent"].split("-")[2] != "5" * 16


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "é"])
def test_ids_that_are_not_well_formed_are_replaced(gateway: Gateway, bad: str) -> None:
    headers = {"x-request-id": bad.encode(), "x-trace-id": bad.encode(), "traceparent": bad.encode()}
    answer = gateway.ask("ok", headers=headers)  # type: ignore[arg-type]  # bytes on purpose
    assert len(answer.headers["x-request-id"]) == 32
    assert len(answer.headers["x-trace-id"]) == 32


def test_a_hundred_clients_that_never_finish_their_head_hold_nobody_up(gateway: Gateway) -> None:
    open_ones = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(100)]
    for one in open_ones:
        one.sendall(b"POST /v1/chat")
    assert gateway.ask("ok").status_code == 200
    for one in open_ones:
        one.close()
