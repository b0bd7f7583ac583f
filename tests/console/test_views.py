"""The console in a real Chromium: each view with live data, with none, while it waits and when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import pytest

from ..support.browser import Browser
from ..support.canary_walk import MODEL, ONE, TWO
from ..support.console_page import VIEWS, ConsolePage
from ..support.console_world import AWAY, GUEST, NEWCOMER, OPERATOR, ConsoleWorld, console_world
from ..support.gateway import Gateway, write_routes

WIDTHS: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1200), ("dark", 390))
ASKED = {
    "live": "metrics",
    "routes": "admin/routes",
    "releases": "admin/releases",
    "canaries": "admin/canaries",
    "playground": "v1/models",
    "limits": "v1/limits",
}
"""View -> what it cannot do without."""


@pytest.fixture(scope="module")
def world(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    """The browser is asked for first: without one nothing else is started."""
    with console_world(tmp_path_factory.mktemp("console")) as running:
        assert running.ask(AWAY, OPERATOR) == 502
        yield running


@pytest.fixture(scope="module")
def bare(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It has no routes, no checkout, and nobody has asked it."""
    folder = tmp_path_factory.mktemp("bare")
    routes = write_routes(folder / "routes", {"none": {"policies": {"dev-key": {"requests_per_minute": 5}}}})
    running = Gateway(folder, "--routes", str(routes)).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def page(browser: Browser, world: ConsoleWorld) -> Iterator[ConsolePage]:
    opened = ConsolePage(browser, world.gateway.url).enter(OPERATOR)
    yield opened
    opened.close()


def shown(text: str, *words: str) -> None:
    assert [word for word in words if word not in text] == []


# --- with live data ---------------------------------------------------------------------------------------------------


def test_figures_of_now_are_told_by_model_by_tenant_and_with_their_cost(page: ConsolePage, world: ConsoleWorld) -> None:
    page.go("live", "Look")
    page.pace(1000)
    page.until("document.querySelectorAll('.plot canvas').length === 6")
    while "guest" not in page.go("live", "By model and release"):
        assert world.ask() == 200
    shown(page.go("live", "By model and tenant"), "EUR / hour", MODEL, ONE.release[:8], "TTFT p50", "answer tok/s")
    tiles = dict(page.value("[...document.querySelectorAll('.tiles > div')].map(one => one.innerText.split('\\n'))"))
    assert float(tiles["requests / s"]) > 0
    assert float(tiles["tokens / s"]) > 0
    assert float(tiles["EUR / hour"]) > 0


def test_routes_have_targets_weights_releases_circuits_and_the_served_revision(
    page: ConsolePage, world: ConsoleWorld
) -> None:
    said = page.go("routes", "open, again in")
    shown(said, MODEL, AWAY, "75 %", "25 %", ONE.release[:12], TWO.release[:12], "closed")
    shown(said, world.revision[:16])


def test_releases_are_listed_with_their_gates_and_where_they_are(page: ConsolePage) -> None:
    said = page.go("releases", ONE.release[:12])
    shown(said, TWO.release[:12], MODEL, AWAY, "local: stable", "local: canary 25 %", "quality", "W8A8")


def test_a_release_has_its_chain_and_a_plot_of_each_figure(page: ConsolePage) -> None:
    said = page.go(f"releases/{TWO.release}", "% of the traffic")
    shown(said, "dataset", "4,211 rows", "models:/", "commit", "0" * 12, "endpoint", "perplexity", "accepted", "25 %")
    labels = page.value("[...document.querySelectorAll('.interval svg')].map(one => one.getAttribute('aria-label'))")
    assert "perplexity : 0.00986, between 0.00712 and 0.01243; allowed ≤ 0.05; passed" in labels


def test_a_canary_has_its_declared_steps_its_figures_and_what_was_decided(
    page: ConsolePage, world: ConsoleWorld
) -> None:
    assert world.ask() == 200
    page.go("live", "Look")
    page.pace(1000)
    said = page.go("canaries", "drawn")
    shown(said, MODEL, "nothing worse than allowed at 5 %", "it begins", "inter token")
    steps = page.value("[...document.querySelectorAll('.steps li')].map(one => one.innerText)")
    assert steps == ["0 %", "1 %", "5 %", "25 %", "50 %", "promoted"]
    assert page.value("document.querySelector('.steps [aria-current=step]').innerText") == "25 %"


def test_the_playground_streams_and_says_what_made_the_answer(page: ConsolePage, world: ConsoleWorld) -> None:
    page.go("playground", "Send")
    page.send(question="What does os.path.join do?")
    page.until("document.querySelector('.turn.assistant p')?.innerText.length > 20")
    page.until("[...document.querySelectorAll('button')].some(one => one.innerText === 'Send')")
    pairs = "[...document.querySelectorAll('aside dl > div')].map(one => one.innerText.split('\\n'))"
    told = dict(pair for pair in page.value(pairs) if len(pair) == 2)
    assert told["revision"] == world.revision[:16]
    assert told["route"] == MODEL
    assert told["release"] in {ONE.release[:16], TWO.release[:16]}
    assert re.fullmatch(r"[0-9a-f]{32}", told["request id"])
    assert re.fullmatch(r"\d+ \+ \d+", told["tokens"])


def test_the_playground_tells_an_error_of_an_engine(page: ConsolePage) -> None:
    page.go("live", "Look")
    page.go("playground", "Send")
    page.choose("main select", AWAY)
    page.send(question="Is anybody there?")
    shown(page.shows("circuit_open"), "Is anybody there?")


def test_explain_says_what_the_command_says(page: ConsolePage) -> None:
    page.go("explain", "Nothing asked yet")
    page.send(model=MODEL, key="guest", session="42")
    said = page.shows("As the command tells it")
    shown(said, "policies.guest", "its session's bucket", "shares", ONE.release[:12])
    page.send(open="*")
    shown(page.shows("its circuit is open"), "not")
    page.send(header="x-one=a, b\nx-two=c")
    page.until("document.querySelector('main [name=header]').value.includes('a, b')")
    page.until("!document.querySelector('main [role=status]')")
    shown(page.shows("its circuit is open"))
    asked = [url for url in page.opened.asked if "admin/explain" in url][-1]
    assert asked.partition("header=")[2].split("&")[0] == "x-one%3Da%2C+b"


def test_what_may_not_be_explained_is_said_with_its_reason(page: ConsolePage) -> None:
    page.go("live", "Look")
    page.go("explain", "Nothing asked yet")
    page.send(model=AWAY, key="guest")
    shown(page.shows("model_not_allowed"), "the key or token itself does not name it")


def test_limits_left_are_those_of_the_key_and_looking_takes_nothing(browser: Browser, world: ConsoleWorld) -> None:
    page = ConsolePage(browser, world.gateway.url).enter(NEWCOMER)
    first = page.go("limits", "Requests a minute")
    shown(first, "Key newcomer", "policies.newcomer", "of 600 left", "of 60,000 left", MODEL)
    left = int(re.findall(r"(\d+) of 600 left", first)[0])
    assert world.ask(key=NEWCOMER) == 200
    page.until(f"Number(document.querySelector('.big').innerText.split(' ')[0]) === {left - 1}")
    page.close()


# --- who may see what -------------------------------------------------------------------------------------------------


def test_a_wrong_key_opens_nothing(browser: Browser, world: ConsoleWorld) -> None:
    page = ConsolePage(browser, world.gateway.url)
    page.give("no-key-of-this-gateway")
    page.until("document.querySelector('[role=alert]')?.innerText.includes('invalid_api_key')")
    assert not page.value("!!document.querySelector('nav')")
    page.close()


def test_a_key_without_the_scope_is_told_so_and_has_the_rest(browser: Browser, world: ConsoleWorld) -> None:
    page = ConsolePage(browser, world.gateway.url).enter(GUEST)
    for view in ("routes", "releases", "canaries", "explain"):
        shown(page.go(view, "missing_scope"), "wants a key with the scope admin")
    assert not page.value("!!document.querySelector('main form')"), "nothing to fill in where nothing is answered"
    assert AWAY not in page.go("playground", "Send")
    page.close()


def test_the_key_is_in_no_storage_and_no_address_and_a_reload_forgets_it(page: ConsolePage) -> None:
    for view in VIEWS:
        page.go(view)
    stored = "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, location.href])"
    assert OPERATOR not in page.value(stored)
    assert page.value("document.cookie + localStorage.length + sessionStorage.length") == "00"
    assert page.value("Promise.all([indexedDB.databases(), caches.keys()]).then(all => all.flat().length)") == 0
    assert OPERATOR not in page.value("document.documentElement.outerHTML")
    assert [url for url in page.opened.asked if OPERATOR in url] == []


def test_forgetting_the_key_closes_every_view(browser: Browser, world: ConsoleWorld) -> None:
    page = ConsolePage(browser, world.gateway.url).enter(OPERATOR)
    page.go("routes", MODEL)
    page.value("[...document.querySelectorAll('button')].find(one => one.innerText === 'Forget key').click()")
    page.until("document.querySelector('#key')")
    assert MODEL not in page.value("document.body.innerText")
    page.close()


# --- while it waits, when it fails, when there is nothing -------------------------------------------------------------


@pytest.mark.parametrize("view", ASKED)
def test_a_view_says_that_it_waits_and_what_has_failed(browser: Browser, world: ConsoleWorld, view: str) -> None:
    page = ConsolePage(browser, world.gateway.url)
    page.until("document.querySelector('#key')")
    if view == "live":
        browser.hold(page.opened, f"*/{ASKED[view]}")  # which is looked at as soon as there is a key
    page.enter(OPERATOR)
    if view != "live":
        browser.hold(page.opened, f"*/{ASKED[view]}")
    page.go(view, "Asking for")
    page.until("!document.querySelector('main table')")
    browser.holds(page.opened)
    browser.lose(page.opened)
    shown(page.shows("no_answer"), "The gateway does not answer.")
    browser.let_go(page.opened)
    page.close()


def test_a_view_that_has_failed_comes_back_by_itself(browser: Browser, world: ConsoleWorld) -> None:
    page = ConsolePage(browser, world.gateway.url).enter(OPERATOR)
    browser.hold(page.opened, "*/admin/routes")
    page.go("routes", "Asking for")
    browser.holds(page.opened)
    browser.lose(page.opened)
    page.shows("no_answer")
    browser.let_go(page.opened)
    assert "no_answer" not in page.shows(MODEL)
    page.close()


def test_where_there_is_nothing_each_view_says_what_is_missing(browser: Browser, bare: Gateway) -> None:
    page = ConsolePage(browser, bare.url).enter("dev-key")
    page.pace(1000)
    shown(page.go("live", "No request yet"), "No cost is told")
    page.go("routes", "No routes")
    shown(page.go("releases", "The gateway sees no checkout"), "GATEWAY_CONSOLE_CHECKOUT")
    shown(page.go("canaries", "No canary"), "steps and evidence are not known")
    page.go("playground", "No model")
    shown(page.go("limits", "5 of 5 left"), "not limited")
    assert page.opened.complaints == []
    page.close()


# --- for everybody ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "width"), WIDTHS)
def test_no_view_keeps_anybody_out_or_is_wider_than_its_screen(
    browser: Browser, world: ConsoleWorld, scheme: Literal["light", "dark"], width: int
) -> None:
    page = ConsolePage(browser, world.gateway.url, scheme, width)
    page.until("document.querySelector('#key')")
    assert page.barriers() == []
    page.enter(OPERATOR).pace(1000)
    page.until("document.querySelector('.plot canvas')")
    for view in (*VIEWS, f"releases/{ONE.release}"):
        page.go(view)
        page.until("!document.querySelector('main [role=status]')")
        assert page.barriers() == [], view
        assert page.value("document.documentElement.scrollWidth <= window.innerWidth"), view
    page.close()


def test_on_a_phone_the_name_of_the_view_is_in_sight(browser: Browser, bare: Gateway) -> None:
    page = ConsolePage(browser, bare.url, "light", 390).enter("dev-key")
    for view in reversed(VIEWS):
        page.go(view)
        page.until(
            "(({left, right}) => left >= 0 && right <= innerWidth)"
            "(document.querySelector('nav [aria-current]').getBoundingClientRect())"
        )
    page.close()


def test_light_and_dark_are_the_readers(browser: Browser, bare: Gateway) -> None:
    grounds = []
    for scheme, _ in WIDTHS:
        page = ConsolePage(browser, bare.url, scheme)
        page.until("document.querySelector('#key')")
        grounds.append(page.value("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert grounds == ["rgb(246, 247, 249)", "rgb(18, 20, 23)"]


def test_every_view_is_reached_by_the_keyboard(browser: Browser, bare: Gateway) -> None:
    page = ConsolePage(browser, bare.url).enter("dev-key")
    seen = set()
    for _ in range(30):
        browser.press(page.opened, "Tab")
        seen.add(page.value("document.activeElement.getAttribute('href')"))
    assert {f"#/{view}" for view in VIEWS} <= seen
    page.value("document.querySelector('nav a[href=\"#/routes\"]').focus()")
    browser.press(page.opened, "Enter")
    page.shows("No routes")
    assert page.value("document.activeElement.tagName") == "MAIN", "who reads by ear begins at the view"
    page.close()


# --- nobody else ------------------------------------------------------------------------------------------------------


def test_nobody_else_was_asked_and_the_policy_was_never_broken(page: ConsolePage) -> None:
    for view in VIEWS:
        page.go(view)
        page.until("!document.querySelector('main [role=status]')")
    assert page.strangers() == []
    blamed = [said for said in page.opened.complaints if "503" not in said]
    assert blamed == [], "but the answers that tests above have asked to fail"


@pytest.mark.parametrize(
    ("breaks", "directive"),
    [
        ("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))", "script-src"),
        ("document.body.setAttribute('style', 'color: red')", "style-src"),
        ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src"),
        ("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))", "img-src"),
        ("new Promise(r => setTimeout('1')).catch(() => 0)", "script-src"),
    ],
)
def test_a_page_that_breaks_the_policy_is_told_of(browser: Browser, bare: Gateway, breaks: str, directive: str) -> None:
    """Else the test above could not fail."""
    page = ConsolePage(browser, bare.url)
    page.until("document.querySelector('#key')")
    browser.value(page.opened, f"(() => {{ {breaks} }})()")
    page.until("true")
    while not page.opened.complaints:
        page.value("1")
    assert directive in page.opened.complaints[0]
    page.close()


def test_a_page_that_keeps_somebody_out_is_found(browser: Browser, bare: Gateway) -> None:
    page = ConsolePage(browser, bare.url)
    page.until("document.querySelector('#key')")
    page.value("document.querySelector('label').remove()")
    assert any(one.startswith("label") for one in page.barriers())
    page.close()
