"""Makes the pictures of the console's how-to: a real gateway with traffic, and a canary on its way.

`python -m tests.console.pictures INTO` (`make console-pictures`): a minute.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path
from typing import Literal

from ..support.browser import Browser
from ..support.canary_walk import MODEL, TWO
from ..support.console_page import ConsolePage
from ..support.console_world import AWAY, GUEST, OPERATOR, SEARCH, ConsoleWorld, console_world

_CALLERS = (OPERATOR, GUEST, SEARCH)
_PICTURES_SECONDS = 40.0
"""Of traffic before the first picture: rates are told over a minute, and a plot of three points shows nothing."""
_PHONE_SECONDS = 20.0


def main(into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Browser(Path(folder)) as browser,
        console_world(Path(folder) / "world") as world,
    ):
        world.ask(AWAY, OPERATOR)
        ended = threading.Event()
        callers = [threading.Thread(target=_ask, args=(world, number, ended)) for number in range(len(_CALLERS))]
        for caller in callers:
            caller.start()
        try:
            _take_all(browser, world, into)
        finally:
            ended.set()
            for caller in callers:
                caller.join()


def _ask(world: ConsoleWorld, number: int, ended: threading.Event) -> None:
    """A caller who reads before asking again, some longer than others; one is at times over its limit, and each asks
    now and then for the model whose engine is away."""
    asked = 0
    while not ended.wait(0.15 * (number + 1)):
        asked += 1
        world.ask(AWAY if asked % 20 == 0 else MODEL, _CALLERS[number])


def _take_all(browser: Browser, world: ConsoleWorld, into: Path) -> None:
    page = ConsolePage(browser, world.gateway.url).enter(OPERATOR)
    page.pace(1000)
    threading.Event().wait(_PICTURES_SECONDS)
    _take(page, "live", into, "By model and tenant")
    _take(page, "routes", into, "open, again in")
    _take(page, f"releases/{TWO.release}", into, "of the traffic", "release")
    _take(page, "canaries", into, "drawn")
    page.go("playground", "Send")
    page.send(question="What does os.path.join do?")
    page.until("/\\d+ \\+ \\d+/.test(document.querySelector('aside').innerText)")
    _take(page, "playground", into)
    page.go("explain", "Nothing asked yet")
    page.send(model=MODEL, key="guest", session="42")
    _take(page, "explain", into, "As the command tells it")
    page.close()
    for key, scheme, width, view, shows in _ELSEWHERE:
        page = ConsolePage(browser, world.gateway.url, scheme, width).enter(key)
        page.pace(1000)
        page.until("document.querySelector('.plot canvas')")
        threading.Event().wait(_PHONE_SECONDS if view == "live" else 0)
        _take(page, view, into, shows, f"{view}-{'phone' if width < 500 else scheme}")
        page.close()


_ELSEWHERE: tuple[tuple[str, Literal["light", "dark"], int, str, str], ...] = (
    (OPERATOR, "dark", 1200, "canaries", "drawn"),
    (OPERATOR, "dark", 390, "routes", "open, again in"),
    (GUEST, "dark", 390, "live", "By model and tenant"),
)


def _take(page: ConsolePage, view: str, into: Path, shows: str = "", name: str = "") -> None:
    page.go(view, shows)
    picture = into / f"console-{name or view}.png"
    picture.write_bytes(page.browser.picture(page.opened))
    print(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
