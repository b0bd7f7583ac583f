"""httpx over our own connections: kept and replaced, bounded, proved, and with httpx's own errors."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from nexus_gateway.routes_file import TlsFile
from nexus_gateway.upstreams.certificates import UpstreamTls, tls_context
from nexus_gateway.upstreams.transport import PoolTransport

from ..support.deaf import deaf
from ..support.issuer import story, until
from ..support.tls import Authority, speaking_tls
from ..support.upstream import Engine

PLAIN = UpstreamTls()
ASKED: dict[str, list[str]] = {"messages": []}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Our own: what is sent here has none of the headers that a gateway's requests have."""
    running = Engine().start()
    yield running
    running.stop()


@asynccontextmanager
async def client(
    tls: UpstreamTls = PLAIN, *, largest: int = 1 << 20, patience: float = 60
) -> AsyncIterator[httpx.AsyncClient]:
    transport = PoolTransport(tls, largest=largest)
    async with httpx.AsyncClient(transport=transport, timeout=patience) as made:
        yield made


@asynccontextmanager
async def saying(*parts: bytes, endless: bytes = b"") -> AsyncIterator[str]:
    """The address of a server that says this to whoever connects, and then `endless` for ever, or closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
            while endless:
                writer.write(endless)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@story
async def test_a_connection_carries_one_request_after_the_other(engine: Engine) -> None:
    before = engine.connections
    async with client() as http:
        for _ in range(5):
            assert (await http.post(engine.url("ok/v1"), json=ASKED)).json()["usage"]["total_tokens"] == 10
            assert (await http.get(engine.url("ok/health"))).status_code == 200
    assert engine.connections == before + 1


@story
async def test_a_request_is_sent_as_it_was_written_but_for_its_encoding(engine: Engine) -> None:
    async with client() as http:
        await http.post(engine.url("ok/v1"), json=ASKED, headers={"x-one": "1", "accept-encoding": "gzip"})
    seen = engine.of("ok")[-1]
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1", b'{"messages":[]}')
    kept = {name: seen.headers[name] for name in ("x-one", "accept-encoding", "host", "content-length")}
    assert kept == {
        "x-one": "1",
        "accept-encoding": "identity",
        "host": f"127.0.0.1:{engine.port}",
        "content-length": "15",
    }


@story
async def test_an_idle_connection_that_was_closed_is_replaced() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async with saying(answer) as url, client() as http:
        for _ in range(3):
            assert (await http.get(url)).text == "ok"


@story
async def test_a_deadline_that_passes_is_httpxs_timeout(engine: Engine) -> None:
    """Each where nothing else has to be done in time: over a connection that there is, and behind a head that came."""
    async with client() as http:
        await http.post(engine.url("ok/v1"), json=ASKED)
        with pytest.raises(httpx.ReadTimeout):
            await http.post(engine.url("stall/v1"), json=ASKED, timeout=0.2)
        short = httpx.Timeout(60, read=0.2)
        async with http.stream("POST", engine.url("stall-midway/v1"), json=ASKED, timeout=short) as answer:
            with pytest.raises(httpx.ReadTimeout):
                await answer.aread()
        with deaf() as url, pytest.raises(httpx.ConnectTimeout):
            await http.get(url, timeout=0.2)
        await until(engine.of("stall")[-1].cut_off.is_set)
        await until(engine.of("stall-midway")[-1].cut_off.is_set)


@story
async def test_what_breaks_off_is_httpxs_protocol_error(engine: Engine) -> None:
    async with client() as http:
        with pytest.raises(httpx.ConnectError, match="does not take connections"):
            await http.get("http://127.0.0.1:1/")
        for behaviour in ("close", "garbage", "reset", "big-head"):
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post(engine.url(f"{behaviour}/v1"), json=ASKED)


@story
async def test_a_stream_is_read_as_it_is_asked_for() -> None:
    """What nobody asks for waits at the other side, in the buffers of the sockets."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, client(largest=1 << 30) as http, http.stream("GET", url) as answer:
        ahead, received = 0, 0
        async for part in answer.aiter_raw():
            received += len(part)
            for _ in range(300):
                await asyncio.sleep(0)
            ahead = max(ahead, sent - received)
            if received > 32 << 20:
                break
    assert 0 < ahead < 12 << 20


@story
async def test_a_request_that_is_cancelled_is_cut_off(engine: Engine) -> None:
    async with client() as http:
        asking = asyncio.create_task(http.post(engine.url("stall/v1"), json=ASKED))
        before = len(engine.of("stall"))
        await until(lambda: len(engine.of("stall")) > before)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(engine.of("stall")[-1].cut_off.is_set)


@pytest.mark.parametrize(
    ("parts", "endless"),
    [
        ([b"HTTP/1.1 200 OK\r\nx: "], b"a" * 4096),
        ([b"HTTP/1.1 200 "], b"a" * 4096),
        ([], b"HTTP/1.1 100 Continue\r\n\r\n"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: "], b"a" * 4096),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;"], b"a" * 4096),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], b"a" * 4096),
        ([b"HTTP/1.1 500 Oh\r\n\r\n"], b"a" * 4096),
    ],
    ids=["header", "status line", "interim answers", "trailer", "chunk extension", "body", "complaint"],
)
@story
async def test_what_never_ends_is_ended(parts: list[bytes], endless: bytes) -> None:
    async with saying(*parts, endless=endless) as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError, match="large"):
            await http.get(url)


@story
async def test_a_compressed_answer_is_refused() -> None:
    body = gzip.compress(b"x")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with saying(head + body) as url, client() as http:
        with pytest.raises(httpx.DecodingError):
            await http.get(url)


@story
async def test_a_redirect_is_not_followed(engine: Engine) -> None:
    async with client() as http:
        answer = await http.post(engine.url("redirect/v1"), json=ASKED)
    assert answer.status_code == 307


@story
async def test_a_certificate_is_proved(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    trusting = UpstreamTls(tls_context(TlsFile(ca=str(ours.ca))))
    with speaking_tls(*ours.certificate("engine")) as engine, speaking_tls(*theirs.certificate("other")) as other:
        async with client(trusting) as http:
            assert (await http.post(engine.url, json=ASKED)).status_code == 200
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await http.post(other.url, json=ASKED)
        assert other.seen == []


@story
async def test_without_a_good_certificate_of_ours_nothing_is_sent(tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ours")
    with speaking_tls(*ours.certificate("engine")) as engine:
        async with client(UpstreamTls()) as http:
            with pytest.raises(httpx.ConnectError, match="no good certificate"):
                await http.post(engine.url, json=ASKED)


@story
async def test_another_method_is_refused() -> None:
    async with client() as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.head("http://127.0.0.1:1/")
