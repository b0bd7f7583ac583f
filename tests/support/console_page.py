"""The console in a browser, as somebody with a key uses it."""

from __future__ import annotations

import json
from typing import Any, Literal
from urllib.parse import urlsplit

from .browser import Browser, Opened
from .client import NODE_MODULES, installed

VIEWS = ("live", "routes", "releases", "canaries", "playground", "explain", "limits")
_AXE = NODE_MODULES / "axe-core" / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class ConsolePage:
    def __init__(
        self,
        browser: Browser,
        url: str,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1200,
        height: int = 800,
    ) -> None:
        self.browser, self.url = browser, url
        self.opened: Opened = browser.open(f"{url}/", scheme, width, height)

    def enter(self, key: str) -> ConsolePage:
        """By the keyboard alone."""
        self.give(key)
        self.until("document.querySelector('nav')")
        return self

    def give(self, key: str) -> None:
        self.until("document.querySelector('#key')")
        self.browser.write(self.opened, "#key", key)
        self.browser.press(self.opened, "Enter")

    def go(self, view: str, shows: str = "") -> str:
        """The text of the view, once it shows that."""
        self.value(f"location.hash = {json.dumps('#/' + view)}")
        label = view.partition("/")[0]
        self.until(f"document.querySelector('nav [aria-current]')?.getAttribute('href') === '#/{label}'")
        return self.shows(shows)

    def shows(self, text: str) -> str:
        self.until(f"document.querySelector('main').innerText.includes({json.dumps(text)})")
        return str(self.value("document.querySelector('main').innerText"))

    def pace(self, milliseconds: int) -> None:
        """How often figures are looked at."""
        self.choose("select[name=look]", str(milliseconds))

    def choose(self, selector: str, value: str) -> None:
        change = f"one.value = {json.dumps(value)}; one.dispatchEvent(new Event('change', {{bubbles: true}}))"
        self.value(f"(one => {{ {change} }})(document.querySelector({json.dumps(selector)}))")

    def send(self, **fields: str) -> None:
        """The view's form."""
        for name, text in fields.items():
            self.browser.write(self.opened, f"main [name={name}]", text)
        self.value("document.querySelector('main form').requestSubmit()")

    def value(self, expression: str) -> Any:
        return self.browser.value(self.opened, expression)

    def until(self, expression: str) -> None:
        self.browser.until(self.opened, f"!!({expression})")

    def barriers(self) -> list[str]:
        """What axe finds that keeps people out. Skips the test where npm has not installed it."""
        installed(_AXE, "setup-clients")
        if not self.value("'axe' in window"):
            self.browser.value(self.opened, _AXE.read_text(encoding="utf-8") + "; true")
        only = json.dumps({"runOnly": _RULES})
        found = self.value(f"axe.run(document, {only}).then(({{violations}}) => violations)")
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    def strangers(self) -> list[str]:
        """Addresses that were asked and are not the gateway's."""
        return [url for url in self.opened.asked if urlsplit(url).netloc != urlsplit(self.url).netloc]

    def close(self) -> None:
        self.browser.close(self.opened)
