"""The wire edge reads the heads that it takes as httptools would have, and takes those that clients really send."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexus_gateway.exchange import Headers
from nexus_gateway.limited_protocol import HEAD_COUNT
from nexus_gateway.plain_head import END, LARGEST_HEAD, may_become_plain, plain_head

FIRST = b"POST /v1/chat/completions HTTP/1.1"
PLAIN = [b"host: x", b"authorization: Bearer dev-key", b"content-type: application/json", b"content-length: 5"]
ODD_FIRST = [
    b"GET /v1/chat/completions HTTP/1.1", b"POST /v1/chat/completions HTTP/1.0", b"POST /v1/rerank?a HTTP/1.1",
    b"POST http://x/v1/chat/completions HTTP/1.1", b"POST  /v1/chat/completions HTTP/1.1",
    b"post /v1/embeddings HTTP/1.1", b"POST /v1/chat%2fcompletions HTTP/1.1", b"POST /v1/chat/completions",
    b"POST /v1/responses/r/cancel HTTP/1.1", b"OPTIONS * HTTP/1.1", b"HEAD /v1/messages HTTP/1.1", b" " + FIRST,
    FIRST + b" ", b"",
]  # fmt: skip
ODD_LINES = [
    b"transfer-encoding: chunked", b"Transfer-Encoding: identity", b"expect: 100-continue", b"upgrade: websocket",
    b"connection: upgrade", b"connection: close, x", b"Connection: keep-alive, close", b"proxy-connection: close",
    b"content-length: 5", b"content-length: 6", b"host: y", b" folded: x", b"\tfolded", b"a : b",
    b"no colon", b": no name", b"a: b\x00", b"a: b\x07c", b"a: b\nc: d", b"a: b\rc: d", b"a: trailing \t", b"a\x80: b",
    b"te: trailers", b"trailer: x", b"keep-alive: timeout=5", b"http2-settings: x", b"(a): b", b"a: b\x7f",
]  # fmt: skip
CLIENTS = [
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8000\r\nAccept: application/json\r\n"
    b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: OpenAI/Python 1.0\r\n"
    b"X-Stainless-Async: false\r\nAuthorization: Bearer k\r\nContent-Length: 21\r\nContent-Type: application/json\r\n",
    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\nx-api-key: k\r\n"
    b"Content-Length: 3\r\n",
    b"POST /v1/embeddings HTTP/1.1\r\nhost:x\r\nconnection:close\r\ncontent-length:\t0\r\nempty:\r\nname: caf\xe9\r\n",
]


class Httptools:
    """What it says of a head."""

    def __init__(self, data: bytes) -> None:
        self.headers = Headers()
        self.url, self.body, self.whole, self.keeps, self.error = b"", b"", False, False, ""
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.error = type(error).__name__

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.keeps = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


any_line = st.one_of(
    st.sampled_from(PLAIN + ODD_LINES),
    st.builds(lambda name, value: name + b":" + value, st.binary(max_size=8), st.binary(max_size=12)),
    st.binary(max_size=20),
)
cased = st.sampled_from(PLAIN).flatmap(lambda line: st.sampled_from([line, line.upper(), line.title()]))
heads = st.builds(
    lambda first, lines: b"\r\n".join((first, *lines)) + b"\r\n",
    st.one_of(st.just(FIRST), st.just(FIRST), st.sampled_from(ODD_FIRST), st.binary(max_size=40)),
    st.one_of(st.permutations(PLAIN), st.lists(st.one_of(cased, any_line), max_size=8)),
)
crowded = st.builds(
    lambda odd, place: b"\r\n".join((FIRST, *PLAIN[:place], *odd, *PLAIN[place:])) + b"\r\n",
    st.lists(any_line, min_size=1, max_size=2),
    st.integers(0, len(PLAIN)),
)


@given(st.one_of(heads, crowded, crowded))
@example(CLIENTS[2])
def test_what_it_takes_httptools_reads_in_the_same_way(data: bytes) -> None:
    end = data.find(END)
    head = data if end < 0 else data[: end + 2]
    plain = plain_head(head)
    if plain is None:
        return
    body = b"x" * plain.length
    other = Httptools(head + b"\r\n" + body)
    assert (other.error, other.whole, other.body) == ("", True, body)
    assert (other.parser.get_method(), other.url.decode()) == (b"POST", plain.surface.path)
    assert (other.headers, other.keeps) == (plain.head.headers, plain.keeps)
    assert not other.parser.should_upgrade()


@given(heads)
def test_a_head_that_is_taken_is_waited_for_at_each_of_its_bytes(data: bytes) -> None:
    end = data.find(END)
    if end >= 0 or plain_head(data) is None:
        return
    assert all(may_become_plain(data[:place]) for place in range(1, len(data)))


@given(st.one_of(heads, crowded))
def test_what_is_known_of_its_beginning_changes_no_answer(data: bytes) -> None:
    data = data.partition(END)[0]
    for place in range(1, len(data)):
        if not may_become_plain(data[:place]):
            return
        assert may_become_plain(data[: place + 1], place) is may_become_plain(data[: place + 1])


@pytest.mark.parametrize("head", CLIENTS)
def test_what_clients_send_is_taken(head: bytes) -> None:
    plain = plain_head(head)
    assert plain is not None
    assert plain.keeps is (b"close" not in head)
    assert all(may_become_plain(head[:place]) for place in range(1, len(head)))


@pytest.mark.parametrize("line", ODD_LINES)
def test_one_line_that_is_odd_is_enough_to_leave_it(line: bytes) -> None:
    assert plain_head(b"\r\n".join((FIRST, *PLAIN, line)) + b"\r\n") is None


@pytest.mark.parametrize(
    "length", [b"", b"+5", b"5, 5", b"0x5", b"-1", b"1e3", b"12345678901234567890", "\u0665".encode()]
)
def test_a_length_that_is_no_plain_number_is_left(length: bytes) -> None:
    assert plain_head(b"\r\n".join((FIRST, *PLAIN[:-1], b"content-length: " + length)) + b"\r\n") is None


@pytest.mark.parametrize("first", ODD_FIRST)
def test_a_first_line_that_is_odd_is_left(first: bytes) -> None:
    assert plain_head(b"\r\n".join((first, *PLAIN)) + b"\r\n") is None


def test_too_much_is_left() -> None:
    many = [b"x%d: 1" % number for number in range(HEAD_COUNT)]
    assert plain_head(b"\r\n".join((FIRST, *PLAIN, *many[len(PLAIN) :])) + b"\r\n") is not None
    assert plain_head(b"\r\n".join((FIRST, *PLAIN, *many)) + b"\r\n") is None
    assert not may_become_plain(b"\r\n".join((FIRST, b"x: " + b"a" * LARGEST_HEAD)))


@pytest.mark.parametrize(
    "data", [b"\n", b"GET", FIRST + b"\n", FIRST + b"\r\nno colon\r\n", FIRST + b"\r\na: b\r\n folded"]
)
def test_what_cannot_become_one_is_told_at_once(data: bytes) -> None:
    assert not may_become_plain(data)
