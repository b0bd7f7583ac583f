"""What a view says is so, whatever names, texts and callers the gateway has met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..support.browser import Browser
from ..support.console_page import VIEWS, ConsolePage
from ..support.gateway import OTHER, PLAIN, RELEASE, Gateway, direct, until, write_routes
from ..support.repository import ROOT
from ..support.upstream import Engine

HOSTILE = '<img src=x onerror="window.ran = 1"><script>window.ran = 1</script>'
LONG = "m" + "-a-model-with-a-long-name" * 5
WRONG = "It is asked again by itself."


@pytest.fixture(scope="module")
def engine(browser: Browser) -> Iterator[Engine]:
    running = Engine().start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def routes(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    match = {"header": "x-hostile", "value": HOSTILE, "upstream": "says"}
    upstreams = {
        "says": {"url": engine.url("parrot-7"), "release": RELEASE},
        "again": {"url": engine.url("ok"), "release": RELEASE},
        "waits": {"url": engine.url("stall"), "release": RELEASE},
        "waits-too": {"url": engine.url("stall"), "release": OTHER},
    }
    document = {
        "upstreams": upstreams,
        "routes": {
            "says": {"strategy": "direct", "upstream": "says", "match": [match]},
            "engines": {"strategy": "canary", "primary": "says", "canary": "again", "percent": 50},
            "waits": {"strategy": "canary", "primary": "waits", "canary": "waits-too", "percent": 50},
            LONG: {"strategy": "direct", "upstream": "says"},
        },
    }
    return write_routes(tmp_path_factory.mktemp("true") / "routes", {"all": document})


@pytest.fixture(scope="module")
def gateway(routes: Path) -> Iterator[Gateway]:
    environment = {"GATEWAY_CONSOLE_CHECKOUT": str(ROOT), "GATEWAY_CONSOLE_ENVIRONMENT": "local"}
    running = Gateway(routes.parent, "--routes", str(routes), env=environment).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture
def page(browser: Browser, gateway: Gateway) -> Iterator[ConsolePage]:
    opened = ConsolePage(browser, gateway.url).enter("dev-key")
    yield opened
    opened.close()


def test_what_a_route_or_a_model_says_is_text_and_is_never_run(page: ConsolePage) -> None:
    assert HOSTILE in page.go("routes", "x-hostile")
    page.go("playground", "Send")
    page.choose("main select", "says")
    page.send(question=HOSTILE)
    page.until("document.querySelector('.turn.assistant p')?.innerText.includes('</script>')")
    page.go("explain", "Nothing asked yet")
    page.send(model="says", header=f"x-hostile={HOSTILE.replace(' ', '')}")
    page.shows("As the command tells it")
    assert page.value("[window.ran, document.images.length, document.querySelectorAll('main script').length]") == [
        None,
        0,
        0,
    ]
    assert page.opened.complaints == []


def test_an_answer_stays_the_model_s_that_gave_it(page: ConsolePage) -> None:
    page.go("playground", "Send")
    page.choose("main select", "says")
    page.send(question="Who are you?")
    page.until("document.querySelector('.turn.assistant p')?.innerText === 'Who are you?'")
    page.until("[...document.querySelectorAll('button')].some(one => one.innerText === 'Send')")
    page.choose("main select", LONG)
    names = "[...document.querySelectorAll('.turn b')].map(one => one.innerText)"
    assert page.value(names) == ["you", "says"]
    page.send(question="And you?")
    page.until(
        f"JSON.stringify({names}) === {json.dumps(json.dumps(['you', 'says', 'you', LONG], separators=(',', ':')))}"
    )


def test_two_engines_of_one_release_are_no_canary(page: ConsolePage) -> None:
    page.go("canaries", "waits")
    assert page.value("[...document.querySelectorAll('main h2')].map(one => one.innerText.split(' ')[0])") == ["waits"]


def test_a_caller_that_leaves_is_no_error_of_a_release(page: ConsolePage, gateway: Gateway) -> None:
    """As `nexus canary` counts."""
    body = {"model": "waits", "messages": []}
    for _ in range(8):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{gateway.url}/v1/chat/completions",
                json=body,
                headers={"x-api-key": "dev-key"},
                timeout=0.2,
                verify=PLAIN,
            )
    left = 'gateway_drawn_requests_total{call="cancelled"'
    until(lambda: left in gateway.get("/metrics").text, "the gateway has seen them leave")
    page.go("live", "Look")
    page.pace(1000)
    page.go("canaries", "drawn")
    cells = "[...document.querySelectorAll('main tbody td[data-of=errors]')].map(one => one.innerText)"
    assert set(page.value(cells)) <= {"0 %", "–"}


def test_only_what_is_asked_again_is_said_to_be(browser: Browser, gateway: Gateway) -> None:
    page = ConsolePage(browser, gateway.url)
    page.give("no-key-of-this-gateway")
    page.until("document.querySelector('[role=alert]')")
    assert WRONG not in page.value("document.body.innerText")
    page.value("document.querySelector('#key').value = ''")
    page.enter("dev-key")
    page.go("explain", "Nothing asked yet")
    page.send(model="says", header="no-value")
    assert WRONG not in page.shows("invalid_query")
    asked = len(page.opened.asked)
    assert WRONG in page.go("releases/" + "0" * 64, "release_not_found")
    page.until("true")
    until(
        lambda: page.value("1") and len([one for one in page.opened.asked[asked:] if "releases/0" in one]) > 1, "again"
    )
    page.close()


def test_what_is_served_since_the_page_was_opened_has_its_cost_too(
    page: ConsolePage, gateway: Gateway, engine: Engine, routes: Path
) -> None:
    page.go("live", "Look")
    page.pace(1000)
    page.shows("EUR / hour")
    write_routes(routes, {"newer": direct("newer", engine.url("ok"), "c" * 64)})
    until(lambda: gateway.ask("newer").status_code == 200, "it is served")
    rows = "[...document.querySelectorAll('[aria-label=\"By model and release\"] tbody tr')]"
    cost = f"{rows}.find(one => one.innerText.startsWith('newer'))?.lastElementChild.innerText"
    page.until(f"({cost} ?? '–') !== '–'")


def test_a_long_name_and_a_narrow_screen_hide_nothing(browser: Browser, gateway: Gateway) -> None:
    assert gateway.ask(LONG).status_code == 200
    page = ConsolePage(browser, gateway.url, "light", 320).enter("dev-key")
    page.pace(1000)
    page.until("document.querySelector('.plot canvas')")
    for view in VIEWS:
        page.go(view)
        page.until("!document.querySelector('main [role=status]')")
        assert page.value("document.documentElement.scrollWidth <= window.innerWidth"), view
    page.close()
