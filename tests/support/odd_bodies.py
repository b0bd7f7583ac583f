"""What the compiled readers leave to Python, and sound bodies that are near to it; each by what is odd in it."""

from __future__ import annotations

from nexus_gateway.upstreams.plain_answer import LARGEST_PLAIN

ELSEWHERE = ("store", "previous_response_id", "cache_salt", "kv_transfer_params", "ec_transfer_params", "vllm_xargs")


def nested(levels: int) -> bytes:
    """A body so deep, itself included."""
    return b'{"model":"m","x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


M = b'{"model":"m",'
TAKEN = {
    "the longest name": b'{"model":"' + b"m" * 128 + b'"}',
    "blanks": b' \t\r\n{ "model" : "m" , "n" : 0 } \n',
    "the largest numbers": M + b'"max_tokens":2147483648,"n":65536,"best_of":65536}',
    "null for none": M + b'"max_tokens":null,"n":null}',
    "the last of what may be twice": M + b'"messages":1,"messages":2}',
    "deciding names within": M + b'"x":{"model":1,"Model":2,"model":3,"n":"x","cache_salt":4}}',
    "as deep as is taken": nested(32),
    "a pair of surrogates": M + b'"x":"\\ud83d\\uDE00"}',
    "every escape": M + b'"x":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u20AC"}',
    "every length of UTF-8": M + '"x":"\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"}'.encode(),
    "a text beyond ASCII as a name within": M + '"x":{"größe":1}}'.encode(),
    "empty ones": M + b'"x":{},"y":[],"z":"","":0}',
    "numbers": M + b'"x":[0,-0,0.5,-1e5,1E+05,1e-400,1e400,12345678901234567890]}',
}
ODD = {
    "nothing": b"",
    "blanks": b" ",
    "no object": b"[]",
    "a text": b'"model"',
    "no model": b"{}",
    "open": b"{",
    "no name of a model": b'{"model":""}',
    "too long a name": b'{"model":"' + b"m" * 129 + b'"}',
    "a model beyond ASCII": '{"model":"größe"}'.encode(),
    "an escape in the model": b'{"model":"\\u006d"}',
    "a model that is null": b'{"model":null}',
    "a number for a model": b'{"model":1}',
    "model cut": b'{"model":"m',
    "twice": M + b'"model":"m"}',
    "in another case": M + b'"Model":"m"}',
    "in that case alone": b'{"MODEL":"m"}',
    "n in another case": M + b'"N":1}',
    "stream twice": M + b'"stream":true,"stream":true}',
    "an escaped name": b'{"m\\u006fdel":"m"}',
    "an escaped name beside it": M + b'"m\\u006fdel":"m"}',
    "a letter that is small a k": M + '"max_to\u212aens":1}'.encode(),
    "stream null": M + b'"stream":null}',
    "stream as a number": M + b'"stream":1}',
    "stream as a text": M + b'"stream":"true"}',
    "user null": M + b'"user":null}',
    "a fraction": M + b'"n":1.0}',
    "an exponent": M + b'"n":1e1}',
    "below zero": M + b'"n":-1}',
    "minus zero": M + b'"n":-0}',
    "a text for a number": M + b'"n":"1"}',
    "true for a number": M + b'"n":true}',
    "too large": M + b'"n":65537}',
    "too many tokens": M + b'"max_tokens":2147483649}',
    "far too large": M + b'"n":18446744073709551617}',
    "a leading zero": M + b'"n":01}',
    "nul": M + b'"n":nul}',
    "a leading zero elsewhere": M + b'"x":01}',
    "no digit after the point": M + b'"x":1.}',
    "no number": M + b'"x":-}',
    "no digit in the exponent": M + b'"x":1e}',
    "a plus": M + b'"x":+1}',
    "no digit before the point": M + b'"x":.5}',
    "NaN": M + b'"x":NaN}',
    "Infinity": M + b'"x":-Infinity}',
    "True": M + b'"x":True}',
    "a number too long": M + b'"x":' + b"1" * 65 + b"}",
    "an integer of thousands of digits": M + b'"x":' + b"1" * 5000 + b',"Model":1}',
    "comments": M + b'/**/"x":1}',
    "more behind it": M + b'"x":1}x',
    "two of them": b'{"model":"m"}{"model":"n"}',
    "a form feed behind it": b'{"model":"m"}\f',
    "a mark before it": b'\xef\xbb\xbf{"model":"m"}',
    "UTF-16": '{"model":"m"}'.encode("utf-16-le"),
    "a comma at the end": M + b"}",
    "a comma at a list's end": M + b'"x":[1,]}',
    "a comma at the beginning": b'{,"model":"m"}',
    "no comma": b'{"model":"m" "x":1}',
    "no colon": M + b'"x" 1}',
    "a name that is none": M + b"x:1}",
    "mixed": M + b'"x":[1}}',
    "one quote": M + b"'x':1}",
    "deeper": nested(33),
    "as deep as Python takes": nested(64),
    "too deep": nested(65),
    "far too deep": nested(100_000),
    "a line in a text": M + b'"x":"\n"}',
    "a control character": M + b'"x":"\x1f"}',
    "no escape": M + b'"x":"\\q"}',
    "a short escape": M + b'"x":"\\u12"}',
    "no hex": M + b'"x":"\\u12g4"}',
    "a signed escape": M + b'"x":"\\u+123"}',
    "a high surrogate": M + b'"x":"\\ud800"}',
    "a low one": M + b'"x":"\\udc00"}',
    "two low ones": M + b'"x":"\\udc00\\udc00"}',
    "two high ones": M + b'"x":"\\ud800\\ud800"}',
    "a high one and a letter": M + b'"x":"\\ud800\\u0041"}',
    "an escaped quote at the end": M + b'"x":"\\"}',
    "a backslash at the end": M + b'"x":"\\',
    **{
        f"no UTF-8, {bad.hex()}": M + b'"x":"' + bad + b'"}'
        for bad in (
            b"\x80",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xc2",
            b"\xc2\x20",
            b"\xe0\x9f\xbf",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf0\x9f\x98",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xff",
            b"\xe2\x28\xa1",
            b"\xf0\x9f\x28\x80",
        )
    },
    **{f"{name}, which Python reads": M + b'"%b":null}' % name.encode() for name in ELSEWHERE},
    **{f"{name}, in another case": M + b'"%b":null}' % name.upper().encode() for name in ELSEWHERE},
}


U = b'{"usage":{"prompt_tokens":1'
UNCOUNTED = {
    "none": b"{}",
    "no object": b"[]",
    "null": b'{"usage":null}',
    "no prompt": b'{"usage":{"completion_tokens":1}}',
    "usage twice": U + b'},"usage":{"prompt_tokens":1}}',
    "usage twice, and then without a prompt": U + b'},"usage":{}}',
    "a prompt twice": U + b',"prompt_tokens":1}}',
    "completion null": U + b',"completion_tokens":null}}',
    "completion twice": U + b',"completion_tokens":0,"completion_tokens":0}}',
    "a fraction": b'{"usage":{"prompt_tokens":1.0}}',
    "below zero": b'{"usage":{"prompt_tokens":-1}}',
    "too many": b'{"usage":{"prompt_tokens":2147483648}}',
    "cached too many": U + b',"prompt_tokens_details":{"cached_tokens":2147483648}}}',
    "details twice": U + b',"prompt_tokens_details":null,"prompt_tokens_details":{"cached_tokens":1}}}',
    "details in a list": U + b',"prompt_tokens_details":[]}}',
    "cached twice": U + b',"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":null}}}',
    "cached as a text": U + b',"prompt_tokens_details":{"cached_tokens":"1"}}}',
    "an escaped name": b'{"us\\u0061ge":{"prompt_tokens":1}}',
    "the form of responses": U + b',"output_tokens":1}}',
    "the form of messages": U + b',"cache_read_input_tokens":null}}',
    "details of the other form": U + b',"input_tokens_details":null}}',
    "an event of responses": U + b'},"response":null}',
    "an event of messages": U + b'},"message":{}}',
    "cut": U + b"}",
    "no UTF-8": U + b'},"x":"\xff"}',
    "more behind it": U + b"}}x",
}


OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"content-length: 2\r\n"


def longest_head(size: int) -> bytes:
    rest = size - len(OK + LENGTH + b"a: \r\n\r\n")
    return OK + LENGTH + b"a: " + b"x" * rest + b"\r\n\r\nok"


def many_headers(count: int) -> bytes:
    return OK + LENGTH + b"a: b\r\n" * (count - 1) + b"\r\n"


ODD_HEADS = {
    "nothing": b"",
    "cut in the first line": OK[:-2],
    "cut": OK + LENGTH,
    "cut in its end": OK + LENGTH + b"\r",
    **{
        line.decode("latin-1").strip() or "blank": OK + LENGTH + line + b"\r\n\r\n"
        for line in (
            b"Content-Length: 2",
            b"transfer-encoding: chunked",
            b"Transfer-Encoding: identity",
            b"connection: upgrade",
            b"connection: close, x",
            b"connection: close\r\nconnection: close",
            b"upgrade: h2c",
            b"trailer: x",
            b"Keep-Alive: timeout=5",
            b"proxy-connection: close",
            b"content-encoding: gzip",
            b"content-encoding: Identity",
            b" folded",
            b"\tfolded",
            b"a : b",
            b"a",
            b": b",
            b"a: b ",
            b"a: b\t",
            b"a: b\x00",
            b"a: b\x7f",
            b"a: b\rc",
            b"a: b\nc: d",
            b"a\x80: b",
            b"(a): b",
            b"a\x00: b",
            b"\x00: b",
        )
    },
    **{
        value.decode(): OK + b"content-length:" + value + b"\r\n\r\n"
        for value in (
            b"",
            b"1 1",
            b"+1",
            b"-1",
            b"0x1",
            b"1_0",
            b"1234567890",
            b"1.0",
            b"1,1",
        )
    },
    **{
        first.decode(): first + b"\r\n" + LENGTH + b"\r\n"
        for first in (
            b"HTTP/1.1 200",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 201 Created",
            b"HTTP/1.1 204 No",
            b"HTTP/1.1 500 No",
            b"HTTP/1.1  200 OK",
            b"http/1.1 200 OK",
            b"HTTP/1.1 200 \t",
            b" HTTP/1.1 200 OK",
            b"\r\nHTTP/1.1 200 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/2 200 OK",
        )
    },
    "no length": OK + b"a: b\r\n\r\n",
    "no headers": OK + b"\r\n",
    "lines without CR": b"HTTP/1.1 200 OK\ncontent-length: 2\n\n",
    "a byte too long": longest_head(LARGEST_PLAIN + 1),
    "a header too many": many_headers(101),
}
