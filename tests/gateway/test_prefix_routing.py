"""Prompts meet the endpoint that knows their beginning: a real gateway before mock engines with prefix caches."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_gateway.explanation import explain
from nexus_gateway.keys import Key
from nexus_gateway.named_routes import routes_named
from nexus_gateway.placing import scrapes
from nexus_gateway.placing.asked_once import loads_of
from nexus_gateway.question import BY_API, Question
from nexus_release.local.free_ports import free_port

from ..support.caching_engine import CachingEngine
from ..support.gateway import BIN, PLAIN, Gateway, until, write_routes
from ..support.worker import Worker

SYSTEM = "You answer for Initech, by its rules, which are these. " * 60
CHOICE = {"strategy": "prefix", "prefill_tokens_per_second": 20_000, "ttft_penalty_seconds": 2, "scrape_seconds": 0.1}
EDGES = ("wire", "asgi")
MOCK = ("--engine=mock", "--served-model-name=chat", "--enable-prompt-tokens-details")
APIS = ["chat", "completions"]
"""Of the mock; `messages` is made of `chat` for it."""


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Worker]]:
    """Three, each with a cache of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(*MOCK)) for _ in range(3)]


def routes(engines: Sequence[str], **choice: Any) -> dict[str, Any]:
    upstream = {"endpoints": list(engines), "apis": APIS, "choice": CHOICE | choice}
    return {"upstreams": {"chat-1": upstream}, "routes": {"chat": {"strategy": "direct", "upstream": "chat-1"}}}


@pytest.fixture(scope="module", params=EDGES)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engines: list[Worker]) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    write_routes(folder / "routes", {"chat": routes([one.url for one in engines])})
    gateway = Gateway(folder, "--routes", str(folder / "routes"), env={"GATEWAY_EDGE": request.param}).wait()
    until(lambda: figure(gateway, "gateway_engine_scrapes_total", outcome="taken") >= 3, "each engine was looked at")
    yield gateway
    gateway.stop()


def figure(gateway: Gateway, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(gateway.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def queried(engine: Worker) -> float:
    """Prompt tokens that it was asked for."""
    with httpx.Client(verify=PLAIN, timeout=30) as client:
        families = text_string_to_metric_families(client.get(engine.url + "/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == "vllm:prefix_cache_queries_total")


def ask(gateway: Gateway, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    with httpx.Client(verify=PLAIN, timeout=30) as client:
        answer = client.post(
            gateway.url + path,
            json={"model": "chat", "max_tokens": 4} | body,
            headers={"authorization": "Bearer dev-key"} | headers,
        )
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def chat(gateway: Gateway, system: str, *said: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
    return ask(gateway, "/v1/chat/completions", {"messages": [{"role": "system", "content": system}, *turns]} | more)


def cached(document: dict[str, Any]) -> float:
    usage = document["usage"]
    return float(usage["prompt_tokens_details"]["cached_tokens"]) / float(usage["prompt_tokens"])


def test_the_turns_of_a_conversation_find_the_ones_before(gateway: Gateway) -> None:
    text = f"turns {gateway.port} {SYSTEM}"
    first = chat(gateway, text, "hello")
    again = [chat(gateway, text, "hello", "a", "and then?"), chat(gateway, text, "hello", "a", "and then?", "b", "so?")]
    assert cached(first) == 0
    assert all(cached(one) > 0.9 for one in again)


def test_other_conversations_of_a_group_find_its_system_prompt(gateway: Gateway) -> None:
    text = f"group {gateway.port} {SYSTEM}"
    chat(gateway, text, "hello")
    assert cached(chat(gateway, text, "how are you")) > 0.9  # the next may be asked elsewhere: the group is large then


def test_groups_are_spread_over_all_engines(gateway: Gateway, engines: list[Worker]) -> None:
    before = [queried(one) for one in engines]
    for number in range(40):  # after six it is likely, and by chance hardly ever later than now
        chat(gateway, f"group {number} {gateway.port} {SYSTEM}", "hello")
        if all(queried(one) > was for one, was in zip(engines, before, strict=True)):
            return
    raise AssertionError("an engine was never asked")


def bodies(text: str, question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "/v1/completions", {"prompt": text + question}
    asked = {"role": "user", "content": question}
    yield "/v1/chat/completions", {"messages": [{"role": "system", "content": text}, asked]}
    yield "/v1/messages", {"system": text, "messages": [asked]}


@pytest.mark.parametrize("number", range(3), ids=["completions", "chat", "messages"])
def test_every_api_has_keys(gateway: Gateway, engines: list[Worker], number: int) -> None:
    """Two questions with one beginning reach one engine by each API; a group of more is large, and uses several."""
    before = [queried(one) for one in engines]
    for question in range(2):
        path, body = list(bodies(f"api {number} {gateway.port} {SYSTEM}", f"question {question}"))[number]
        ask(gateway, path, body)
    assert sum(queried(one) > was for one, was in zip(engines, before, strict=True)) == 1


def test_short_prompts_go_to_the_engine_with_the_least_to_do(gateway: Gateway) -> None:
    before = figure(gateway, "gateway_prefix_choices_total", why="short")
    chat(gateway, "short", "hello")
    until(lambda: figure(gateway, "gateway_prefix_choices_total", why="short") == before + 1, "it is counted")


def test_the_log_says_why_and_the_metrics_have_the_cached_tokens(engines: list[Worker], tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": routes([one.url for one in engines])})
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes")).wait()
    try:
        chat(gateway, f"log {gateway.port} {SYSTEM}", "hello")
        told = chat(gateway, f"log {gateway.port} {SYSTEM}", "hello")
        cached_tokens = told["usage"]["prompt_tokens_details"]["cached_tokens"]
        assert cached_tokens > 0
        until(lambda: figure(gateway, "gateway_tokens_total", kind="cached", route="chat") == cached_tokens, "counted")
    finally:
        gateway.stop()
    assert [line["placed"] for line in gateway.lines() if "placed" in line] == ["home"] * 2


def test_two_gateways_choose_the_same_homes(engines: list[Worker], gateway: Gateway, tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": routes([one.url for one in reversed(engines)])})
    other = Gateway(tmp_path, "--routes", str(tmp_path / "routes")).wait()
    try:
        for number in range(8):
            text = f"both {number} {other.port} {SYSTEM}"
            assert cached(chat(gateway, text, "hello")) == 0
            assert cached(chat(other, text, "hello")) > 0.9
    finally:
        other.stop()


def test_a_home_with_a_long_queue_gives_to_the_next_and_takes_back_when_it_is_done(tmp_path: Path) -> None:
    """Tau is a few prompts, and each takes a third of a second: of a burst for one home the others get some."""
    slow = (*MOCK, "--ttft-ms=300")
    with ExitStack() as stack:
        engines = [stack.enter_context(Worker(*slow)) for _ in range(2)]
        write_routes(tmp_path / "routes", {"chat": routes([one.url for one in engines], ttft_penalty_seconds=0.1)})
        gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes")).wait()
        stack.callback(gateway.stop)
        until(lambda: burst(gateway), "home has had no room", 60)
        assert all(queried(one) > 0 for one in engines)
        until(lambda: home(gateway), "home has room again")


def burst(gateway: Gateway) -> bool:
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: chat(gateway, f"burst {SYSTEM}", f"question {number}", user="one"), range(12)))
    return sum(figure(gateway, "gateway_prefix_choices_total", why=why) for why in ("next", "beyond")) > 0


def home(gateway: Gateway) -> bool:
    before = figure(gateway, "gateway_prefix_choices_total", why="home")
    chat(gateway, f"burst {SYSTEM}", "one more", user="one")
    return figure(gateway, "gateway_prefix_choices_total", why="home") > before


def test_pods_of_a_headless_service_are_endpoints_and_are_looked_for_again(
    engines: list[Worker], tmp_path: Path
) -> None:
    """The name leads where the file of `--resolve` says: first to one pod, then to three."""
    resolve = tmp_path / "resolve.json"
    places = [one.url.removeprefix("http://") for one in engines]
    resolve.write_text(json.dumps({"chat.models.svc:8080": places[:1]}))
    document = routes([])
    at_once = CHOICE | {"slow_start_seconds": 0}
    document["upstreams"]["chat-1"] = {"service": "http://chat.models.svc:8080", "choice": at_once}
    write_routes(tmp_path / "routes", {"chat": document})
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes"), "--resolve", str(resolve)).wait()
    try:
        assert asked(gateway, engines, "before") == [True, False, False]
        swaps = figure(gateway, "gateway_config_swaps_total")
        resolve.write_text(json.dumps({"chat.models.svc:8080": places}))
        until(lambda: figure(gateway, "gateway_config_swaps_total") > swaps, "the pods are taken")
        assert asked(gateway, engines, "after") == [True, True, True]
    finally:
        gateway.stop()


def asked(gateway: Gateway, engines: Sequence[Worker], text: str) -> list[bool]:
    """By prompts of so many groups that by chance hardly ever one of three is left out."""
    before = [queried(one) for one in engines]
    for number in range(40):
        chat(gateway, f"{text} {number} {SYSTEM}", "hello")
    return [queried(one) > was for one, was in zip(engines, before, strict=True)]


def looked_at(gateway: Gateway, outcome: str) -> bool:
    return figure(gateway, "gateway_engine_scrapes_total", outcome=outcome) > 0


def test_what_is_asked_again_after_a_failure_is_asked_of_another(engines: list[Worker], tmp_path: Path) -> None:
    """Of two endpoints one is dead, and home of half of the prompts: each is answered."""
    write_routes(tmp_path / "routes", {"chat": routes([engines[0].url, f"http://127.0.0.1:{free_port()}"])})
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes")).wait()
    try:
        for outcome in ("failed", "taken"):
            until(partial(looked_at, gateway, outcome), outcome)
        for number in range(24):
            chat(gateway, f"again {number} {SYSTEM}", "hello")
        until(lambda: figure(gateway, "gateway_retries_total") > 0, "a second try is counted")
    finally:
        gateway.stop()


async def explained(folder: Path, *texts: str, share: float = 0.0) -> list[dict[str, Any]]:
    """As `nexus-gateway explain --scrape` has it, of one look at the engines."""
    snapshot, loads = await loads_of(routes_named(str(folder / "routes"), Path()))
    key = Key("dev-key", None, admin=False)
    told = []
    for text in texts:
        body = json.dumps({"model": "chat", "messages": [{"role": "system", "content": text}]}).encode()
        told.append(
            explain(snapshot, Question(key, BY_API["chat"], body), (), loads, share)["asked_in_order"][0]["choice"]
        )
    return told


def test_explain_names_the_key_and_the_home_that_the_gateway_asks(
    gateway: Gateway, engines: list[Worker], tmp_path: Path
) -> None:
    write_routes(tmp_path / "routes", {"chat": routes([one.url for one in engines])})
    texts = [f"told {number} {gateway.port} {SYSTEM}" for number in range(4)]
    for text, told in zip(texts, asyncio.run(explained(tmp_path, *texts)), strict=True):
        before = [queried(one) for one in engines]
        chat(gateway, text)
        (served,) = (one.url for one, was in zip(engines, before, strict=True) if queried(one) > was)
        assert [told["home"], told["asked"]] == [f"chat-1 {served}"] * 2
        assert (told["key"], told["why"]) == ("the beginning of the prompt", "home")


def test_explain_says_where_evenness_may_send_a_group(engines: list[Worker], tmp_path: Path) -> None:
    """To the next in its order, which a gateway without its home asks; a group with several endpoints stays."""
    urls = [one.url for one in engines]
    write_routes(tmp_path / "routes", {"chat": routes(urls)})
    (told,) = asyncio.run(explained(tmp_path, SYSTEM))
    home, *others = told["order"]
    write_routes(tmp_path / "routes", {"chat": routes([url for url in urls if url != home.removeprefix("chat-1 ")])})
    (without,) = asyncio.run(explained(tmp_path, SYSTEM))
    assert [told["home"], without["home"]] == [home, others[0]]
    command = [str(BIN / "nexus-gateway"), "explain", str(tmp_path / "routes"), "--model", "chat"]
    narrow, wide = (subprocess.run([*command, *more], capture_output=True, text=True).stdout
                    for more in ([], ["--group-percent=100"]))  # fmt: skip
    assert "this one may go to the next with fewer of: chat-1 http" in narrow
    assert "with fewer" not in wide


def test_explain_takes_a_group_for_as_wide_as_its_share_makes_it(engines: list[Worker], tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": routes([one.url for one in engines])})
    for share, width in ((0.0, 1), (0.05, 1), (0.07, 3), (1.0, 3)):
        (told,) = asyncio.run(explained(tmp_path, SYSTEM, share=share))
        assert (told["width"], told["group_share"]) == (width, share)


def test_explain_says_why_a_prompt_does_not_stay_at_home(engines: list[Worker], tmp_path: Path) -> None:
    """Of two homes one is a server whose engine says that a thousand requests wait."""
    with CachingEngine() as stuck:
        stuck.waiting = 1000
        write_routes(tmp_path / "routes", {"chat": routes([engines[0].url, stuck.url], ttft_penalty_seconds=0.1)})
        told = asyncio.run(explained(tmp_path, *(f"{number} {SYSTEM}" for number in range(24))))
    assert {one["asked"] for one in told} == {f"chat-1 {engines[0].url}"}
    moved = [one for one in told if one["home"] == f"chat-1 {stuck.url}"]
    assert {one["because"] for one in moved} == {
        "1000000 tokens wait at home: more than elsewhere by more than it saves"
    }


def test_explain_waits_for_an_engine_longer_than_a_gateway_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrapes, "LONGEST_SECONDS", 0.1)
    with CachingEngine() as busy:
        busy.waiting, busy.look_seconds = 3, 0.5
        write_routes(tmp_path / "routes", {"chat": routes([busy.url])})
        _, loads = asyncio.run(loads_of(routes_named(str(tmp_path / "routes"), Path())))
    (load,) = loads.values()
    assert load is not None
    assert load.requests == 3


def test_explain_says_where_a_conversation_begins_where_that_is_remembered(
    engines: list[Worker], tmp_path: Path
) -> None:
    with CachingEngine() as busy:
        busy.waiting = 10
        write_routes(tmp_path / "routes", {"chat": routes([engines[0].url, busy.url], memory_seconds=300)})
        texts = [f"{number} {SYSTEM}" for number in range(12)]
        told = asyncio.run(explained(tmp_path, *texts, share=1.0))
        write_routes(tmp_path / "routes", {"chat": routes([engines[0].url, busy.url])})
        (without,) = asyncio.run(explained(tmp_path, SYSTEM))
    assert {one["asked"] for one in told if one["home"] == f"chat-1 {busy.url}"} == {f"chat-1 {busy.url}"}
    assert {one["if_new"]["asked"] for one in told} == {f"chat-1 {engines[0].url}"}
    assert {one["if_new"]["why"] for one in told} == {"home", "new"}
    assert without["if_new"] is None


def test_the_command_asks_engines_and_tells_people(engines: list[Worker], tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": routes([engines[0].url, f"http://127.0.0.1:{free_port()}"])})
    command = [str(BIN / "nexus-gateway"), "explain", str(tmp_path / "routes"), "--model", "chat", "--scrape"]
    command.append("--group-percent=100")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(short): the prompt is taken to have less than 500 tokens" in done.stdout
    assert "one of 2 of the group" in done.stdout
    assert "nothing is remembered of the conversation; the group makes 100% of the load" in done.stdout
    assert "it says nothing of its load, and is taken for as loaded as the others" in done.stdout
