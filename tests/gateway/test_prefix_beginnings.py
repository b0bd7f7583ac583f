"""What is read of a body, of an engine's figures and of a Service's name, to choose an endpoint by."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection
from typing import Any

import pytest

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.prefix_routing.figures import NoFigures, scrape_of
from nexus_gateway.prefix_routing.keys import BLOCK, Keys, keys_of
from nexus_gateway.prefix_routing.load import Scrape
from nexus_gateway.prefix_routing.prompt import prompt_of
from nexus_gateway.question import BY_API
from nexus_gateway.routes import compile_file, parse
from nexus_gateway.service_names import ServiceNames, addresses_of
from nexus_gateway.snapshot import build

LONG = "The rules of Initech. " * 200
TEXT = [{"role": "user", "content": "hello"}]
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]


def keys(api: str, body: dict[str, Any], **named: str) -> Keys:
    return keys_of(prompt_of(BY_API[api], json.dumps(body).encode(), tenant="acme", model="m", **named))


@pytest.mark.parametrize(
    ("api", "first", "second"),
    [
        ("chat", {"messages": TEXT}, {"messages": [*TEXT, {"role": "assistant", "content": "a"}, *TEXT]}),
        ("messages", {"system": LONG, "messages": TEXT}, {"messages": [*TEXT, *TEXT], "system": LONG}),
        ("responses", {"input": "hello", "instructions": LONG}, {"instructions": LONG, "input": TEXT[0]["content"]}),
        ("responses", {"input": TEXT}, {"input": [*TEXT, {"type": "function_call_output", "output": "x"}]}),
        ("completions", {"prompt": LONG}, {"prompt": LONG + "and more"}),
        ("chat", {"messages": IMAGE}, {"messages": [*IMAGE, *TEXT], "temperature": 1}),
    ],
)
def test_a_later_turn_has_the_same_keys(api: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    assert keys(api, first) == keys(api, second)


@pytest.mark.parametrize(
    ("api", "said"),
    [
        ("chat", {"messages": [{"role": "system", "content": LONG}, *TEXT]}),
        ("chat", {"messages": [{"role": "developer", "content": LONG}, *TEXT]}),
        ("chat", {"messages": TEXT, "tools": [{"type": "function"}]}),
        ("messages", {"messages": TEXT, "system": LONG}),
        ("messages", {"messages": TEXT, "tools": [{"name": "f"}]}),
        ("responses", {"input": TEXT, "instructions": LONG}),
        ("responses", {"input": [{"role": "system", "content": LONG}, *TEXT]}),
    ],
)
def test_system_prompt_and_tools_make_the_group(api: str, said: dict[str, Any]) -> None:
    asked = {name: said[name] for name in ("messages", "input") if name in said}
    bare = {name: [one for one in items if one["role"] == "user"] for name, items in asked.items()}
    assert keys(api, said).group != keys(api, bare).group


def test_of_several_names_the_narrowest_counts() -> None:
    body = {"messages": TEXT, "prompt_cache_key": "k", "user": "u"}
    assert keys("chat", body, session="s", user="u").source == "session"
    assert keys("chat", body, user="u").source == "cache_key"
    assert keys("chat", {"messages": TEXT}, user="u").source == "user"
    assert keys("chat", {"messages": TEXT}).source == "prompt"


def test_completions_with_one_beginning_are_one_group() -> None:
    begins = "x" * BLOCK
    assert keys("completions", {"prompt": begins + "a"}).group == keys("completions", {"prompt": begins + "b"}).group


@pytest.mark.parametrize(
    "body", [b'{"messages": 7}', b'{"messages": [{"role": 1}]}', b"[]", b'{"prompt_cache_key": 7}']
)
def test_what_cannot_be_read_has_the_keys_of_nothing(body: bytes) -> None:
    prompt = prompt_of(BY_API["chat"], body, tenant="acme", model="m")
    assert (prompt.start, prompt.named) == (b"", "")


VLLM = b"""\
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
vllm:num_requests_running{engine="0",model_name="m"} 8.0
vllm:num_requests_waiting_by_reason{reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 5e-1
"""


def test_figures_of_several_engines_are_added() -> None:
    assert scrape_of(VLLM) == Scrape(4.0, 8.0, 0.5)
    assert scrape_of(VLLM + b"nexus:prefill_queue_tokens 700\n").prefill_tokens == 700
    ended = b'vllm:request_success_total{engine="%d",finished_reason="%s",model_name="m"} 70.0\n'
    assert scrape_of(VLLM + ended % (0, b"stop") + ended % (1, b"stop") + ended % (0, b"abort")).answered == 210
    assert scrape_of(b"sglang:num_queue_reqs 2\nsglang:num_running_reqs 5\nsglang:token_usage 0.9\n") == Scrape(
        2, 5, 0.9
    )


@pytest.mark.parametrize("text", [b"", b"<html>", b"vllm:num_requests_waiting 1\n", VLLM.replace(b"8.0", b"-e")])
def test_a_text_without_figures_is_none(text: bytes) -> None:
    with pytest.raises(NoFigures):
        scrape_of(text)


@pytest.mark.parametrize("figure", [b"1e999", b"1e308", b"-1.0"])
def test_a_figure_that_no_engine_has_is_none(figure: bytes) -> None:
    for one in (b"3.0", b"8.0", b"0.25"):
        with pytest.raises(NoFigures, match="no figure of an engine"):
            scrape_of(VLLM.replace(one, figure))


def test_a_service_keeps_its_pods_while_nobody_answers_for_its_name() -> None:
    pods: list[Collection[str]] = [("10.0.0.2:80", "10.0.0.1:80"), (), ("10.0.0.3:80",)]

    def lookup(host: str, port: int) -> Collection[str]:
        assert (host, port) == ("chat.svc", 80)
        found = pods.pop(0)
        if not found:
            raise socket.gaierror
        return found

    names = ServiceNames(lookup)
    names.wanted = lambda: ["http://chat.svc:80"]
    seen = []
    for _ in range(3):
        names.look()
        seen.append((names.addresses["http://chat.svc:80"], tuple(names.failed)))
    first = ("10.0.0.1:80", "10.0.0.2:80")
    assert seen == [(first, ()), (first, ("http://chat.svc:80",)), (("10.0.0.3:80",), ())]


def test_the_system_s_resolver_is_asked() -> None:
    assert "127.0.0.1:8080" in addresses_of("localhost", 8080)


def test_pods_are_endpoints_and_a_file_that_has_not_changed_is_compiled_again_for_them() -> None:
    file = b'upstreams: {a: {service: "https://a.svc:8443"}}\nroutes: {a: {strategy: direct, upstream: a}}\n'
    first = build({"a.yaml": file}, {}, 10.0)
    assert [(one.id, one.url, one.address) for one in first.table.upstreams["a"].endpoints] == [
        ("a", "https://a.svc:8443", "")
    ]
    pods = {"https://a.svc:8443": ("10.0.0.1:8443", "10.0.0.2:8443")}
    second = build({"a.yaml": file}, {}, 10.0, before=first, addresses=pods)
    assert [one.address for one in second.table.upstreams["a"].endpoints] == list(pods["https://a.svc:8443"])
    assert second.revision == first.revision
    assert build({"a.yaml": file}, {}, 10.0, before=second, addresses=pods).tables["a.yaml"] is second.tables["a.yaml"]


CHOICE = "choice: {strategy: prefix, prefill_tokens_per_second: 1, ttft_penalty_seconds: 1}"


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        (f"{{url: 'http://a:1', {CHOICE}}}", "choice is between endpoints"),
        (f"{{endpoints: ['grpc://a:1', 'grpc://b:1'], {CHOICE}}}", "http:// and https:// alone"),
        ("{service: 'http://a'}", "write http://name:port"),
        ("{service: 'http://a:1', url: 'http://a:1'}", "either url or endpoints or service"),
        ("{service: 'http://a:1', choice: {strategy: prefix}}", "prefill_tokens_per_second"),
    ],
)
def test_what_cannot_be_chosen_between_is_refused(upstream: str, says: str) -> None:
    text = f"upstreams: {{a: {upstream}}}\nroutes: {{a: {{strategy: direct, upstream: a}}}}\n"
    with pytest.raises(ConfigRefused, match=says):
        compile_file("a.yaml", parse("a.yaml", text.encode()), 10.0, None)
