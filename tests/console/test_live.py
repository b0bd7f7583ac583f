"""What goes through the gateway, by model and by tenant, in a real Chromium: whom whose key shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from nexus_gateway.keys import digest
from nexus_release.local.free_ports import free_port

from ..support.browser import Browser
from ..support.console_page import ConsolePage
from ..support.gateway import RELEASE, Gateway, write_routes
from ..support.repository import ROOT

KEYS: dict[str, dict[str, Any]] = {
    "operator-key": {"id": "operator", "tenant": "operators", "scopes": ["admin"]},
    "a-key": {"id": "a", "tenant": "team-a"},
    "b-key": {"id": "b", "tenant": "team-b"},
    "silent-key": {"id": "silent", "tenant": "team-silent"},
    "stranger-key": {"id": "stranger"},
}
ROWS = "[...document.querySelectorAll('[aria-label=\"By model and tenant\"] tbody tr')].map(one => one.innerText)"
TILES = "[...document.querySelectorAll('.tiles > div')].map(one => one.innerText.split('\\n'))"
WIDTHS: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1200), ("dark", 390))


@pytest.fixture(scope="module")
def flags(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The browser is asked for first: without one nothing else is started."""
    folder = tmp_path_factory.mktemp("live")
    upstreams = {"chat": {"url": "mock://local?itl=0.02", "release": RELEASE}, "code": {"url": "mock://local"}}
    upstreams["broken"] = {"url": "mock://fail"}
    document = {
        "upstreams": upstreams,
        "routes": {name: {"strategy": "direct", "upstream": name} for name in upstreams},
        "policies": {entry["tenant"]: {} for entry in KEYS.values() if "tenant" in entry},
    }
    entries = [{**entry, "digest": f"sha256:{digest(key.encode()).hex()}"} for key, entry in KEYS.items()]
    (folder / "keys.yaml").write_text(json.dumps({"keys": entries}))
    return ["--routes", str(write_routes(folder / "routes", {"all": document})), "--keys", str(folder / "keys.yaml")]


@pytest.fixture(scope="module")
def gateway(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    environment = {"GATEWAY_CONSOLE_CHECKOUT": str(ROOT), "GATEWAY_CONSOLE_ENVIRONMENT": "local"}
    running = Gateway(tmp_path_factory.mktemp("gateway"), *flags, env=environment).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture
def operator(browser: Browser, gateway: Gateway) -> Iterator[ConsolePage]:
    opened = looking(browser, gateway, "operator-key")
    yield opened
    opened.close()


def looking(browser: Browser, gateway: Gateway, key: str, *how: Any) -> ConsolePage:
    opened = ConsolePage(browser, gateway.url, *how).enter(key)
    opened.pace(1000)
    return opened


def ask(gateway: Gateway, key: str, model: str, *, stream: bool = True) -> int:
    return gateway.ask(model, headers={"authorization": f"Bearer {key}"}, stream=stream).status_code


def asked_until(page: ConsolePage, gateway: Gateway, holds: str, *asked: tuple[str, str]) -> None:
    """Each key asks for its model again and again, until the page shows it."""
    for _ in range(400):
        if page.value(f"!!({holds})"):
            return
        for key, model in asked:
            ask(gateway, key, model)
    raise AssertionError(f"never: {holds}")


def tiles(page: ConsolePage) -> dict[str, str]:
    return dict(page.value(TILES))


# --- who is shown whom ------------------------------------------------------------------------------------------------


def test_an_operator_sees_each_model_and_tenant_and_picks_what_the_page_is_of(
    operator: ConsolePage, gateway: Gateway
) -> None:
    three = (("a-key", "chat"), ("b-key", "chat"), ("b-key", "code"))
    busy = f"{ROWS}.filter(one => !/\\t0\\t–/.test(one)).length >= 3"
    asked_until(operator, gateway, busy, *three)
    pairs = [tuple(row.split("\t")[:2]) for row in operator.value(ROWS)]
    assert {("chat", "team-a"), ("chat", "team-b"), ("code", "team-b")} <= set(pairs)
    everybody = float(tiles(operator)["requests / s"])
    operator.choose("select[name=tenant]", "team-a")
    operator.until(f"{ROWS}.length === 1")
    assert operator.value(ROWS)[0].startswith("chat\tteam-a\t")
    assert 0 < float(tiles(operator)["requests / s"]) < everybody
    operator.choose("select[name=tenant]", "team-b")
    operator.choose("select[name=model]", "code")
    operator.until(f"{ROWS}.length === 1 && {ROWS}[0].startsWith('code')")
    assert operator.value(ROWS)[0].startswith("code\tteam-b\t")
    operator.go("routes", "chat")
    operator.go("live", "By model and tenant")
    assert operator.value("document.querySelector('select[name=tenant]').value") == "team-b", "it stays picked"


def test_failures_are_those_of_the_model_and_tenant_that_had_them(operator: ConsolePage, gateway: Gateway) -> None:
    failed = f"{ROWS}.some(one => /^broken\\tteam-a\\t[^\\t]+\\t100 %/.test(one))"
    asked_until(operator, gateway, failed, ("a-key", "broken"), ("a-key", "chat"))
    operator.choose("select[name=model]", "broken")
    operator.until(f"({TILES}.find(one => one[0] === '5xx') ?? [])[1] === '100 %'")
    operator.choose("select[name=model]", "chat")
    operator.until(f"({TILES}.find(one => one[0] === '5xx') ?? [])[1] === '0 %'")


def test_what_tenants_pay_is_together_what_is_paid(operator: ConsolePage, gateway: Gateway) -> None:
    asked_until(operator, gateway, f"{TILES}.length === 8", ("a-key", "chat"), ("b-key", "chat"))
    operator.choose("select[name=model]", "chat")
    cells = f"{ROWS}.map(one => Number(one.split('\\t').at(-1)))"
    told = f"{{each: {cells}, all: Number(({TILES}.find(one => one[0] === 'EUR / hour') ?? [])[1])}}"
    asked_until(operator, gateway, f"({told}).all > 0", ("a-key", "chat"), ("b-key", "chat"))
    found = operator.value(f"({told})")
    assert found["all"] == pytest.approx(sum(found["each"]), rel=0.05)  # two digits of each are shown
    assert min(found["each"]) >= 0


def test_a_key_without_the_scope_sees_its_own_tenant_and_asks_for_no_more(browser: Browser, gateway: Gateway) -> None:
    assert ask(gateway, "b-key", "code") == 200
    page = looking(browser, gateway, "a-key")
    asked_until(page, gateway, f"{ROWS}.length >= 1", ("a-key", "chat"), ("b-key", "code"))
    assert {row.split("\t")[1] for row in page.value(ROWS)} == {"team-a"}
    text = page.go("live", "of tenant team-a")
    assert "team-b" not in text
    assert "Costs are told to keys with the scope admin." in text
    assert page.value("document.querySelector('select[name=tenant]')") is None
    assert not [url for url in page.opened.asked if url.endswith("/metrics") or "/admin/" in url]
    page.close()


def test_a_key_that_the_routes_do_not_name_is_told_why_it_has_no_figures(browser: Browser, gateway: Gateway) -> None:
    assert ask(gateway, "stranger-key", "chat") == 200
    page = looking(browser, gateway, "stranger-key")
    assert "policies" in page.go("live", "This key has no figures of its own")
    assert page.value("document.querySelector('main table')") is None
    page.close()


def test_a_tenant_that_has_asked_for_nothing_is_told_so(browser: Browser, gateway: Gateway) -> None:
    page = looking(browser, gateway, "silent-key")
    page.go("live", "Nothing has been asked for that fits tenant team-silent since this gateway began.")
    page.close()


def test_on_the_public_port_beside_one_for_operators_an_admin_sees_its_own_tenant(
    browser: Browser, flags: list[str], tmp_path: Path
) -> None:
    port = free_port()
    running = Gateway(tmp_path, *flags, "--admin-port", str(port)).wait()
    assert ask(running, "operator-key", "chat") == ask(running, "a-key", "chat") == 200
    page = looking(browser, running, "operator-key")
    assert "team-a" not in page.go("live", "of tenant operators")
    page.shows("By model and tenant")
    page.close()
    page = ConsolePage(browser, f"http://127.0.0.1:{port}").enter("operator-key")
    page.pace(1000)
    assert "team-a" in page.go("live", "By model and tenant")
    page.close()
    assert running.stop() == 0


# --- while it waits, when it fails, for everybody ---------------------------------------------------------------------


def test_figures_of_a_tenant_are_waited_for_lost_and_come_back_by_themselves(
    browser: Browser, gateway: Gateway
) -> None:
    assert ask(gateway, "a-key", "chat") == 200
    page = ConsolePage(browser, gateway.url)
    page.until("document.querySelector('#key')")
    browser.hold(page.opened, "*/v1/figures")
    page.enter("a-key")
    page.go("live", "Asking for two looks at the figures")
    browser.holds(page.opened)
    browser.lose(page.opened)
    page.shows("no_answer")
    browser.let_go(page.opened)
    page.pace(1000)
    assert "no_answer" not in page.shows("By model and tenant")
    page.close()


@pytest.mark.parametrize(("scheme", "width"), WIDTHS)
@pytest.mark.parametrize("key", ["operator-key", "a-key", "stranger-key"])
def test_nobody_is_kept_out_whatever_the_key_shows(
    browser: Browser, gateway: Gateway, key: str, scheme: Literal["light", "dark"], width: int
) -> None:
    assert ask(gateway, "a-key", "chat") == 200
    page = looking(browser, gateway, key, scheme, width)
    page.go("live", "no figures of its own" if key == "stranger-key" else "By model and tenant")
    assert page.barriers() == []
    assert page.value("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.opened.complaints == []
    page.close()


def test_model_tenant_and_pace_are_reached_by_the_keyboard(operator: ConsolePage, browser: Browser) -> None:
    seen = set()
    for _ in range(30):
        browser.press(operator.opened, "Tab")
        seen.add(operator.value("document.activeElement.getAttribute('name')"))
    assert {"model", "tenant", "look"} <= seen


# --- what is reckoned -------------------------------------------------------------------------------------------------


def test_a_counter_that_begins_again_with_its_gateway_is_counted_from_nothing(operator: ConsolePage) -> None:
    def line(status: int, count: int) -> str:
        return f'gateway_tenant_requests_total{{tenant="t",route="r",status="{status}"}} {count}\\n'

    told = operator.value(
        "Promise.all([import('/console/figures.js'), import('/console/tallies.js')])"
        ".then(([{parsed}, {rates, tallied}]) =>"
        f" rates(tallied(parsed('{line(200, 90)}{line(502, 4)}')), tallied(parsed('{line(200, 20)}{line(502, 10)}')),"
        " 2, one => one.tenant === 't'))"
    )
    assert (told["requests"], told["failed"], told["first50"]) == (30 / 2, (10 - 4) / 2, None)
