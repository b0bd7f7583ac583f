"""A real headless Chromium, spoken to by its DevTools protocol over two pipes: no port, no driver, no library."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from .client import installed
from .gateway import until

_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]
_ENDED = 60  # seconds that it has to end in


@dataclass
class Opened:
    """What a page has said and asked for since it was opened."""

    session: str
    target: str
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts, of the console and of the page's own policy."""
    asked: list[str] = field(default_factory=list)
    """Addresses of requests, the page itself among them."""
    held: list[str] = field(default_factory=list)
    """Requests that wait since `hold` was called."""


class Browser:
    """Skips the test where `make services` has not installed Chromium."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        installed(Path(program or "/usr/bin/chromium"), "services")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # It reads file 3 and writes file 4; bash puts our pipes there (dash knows files below 10 alone).
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", program or "chromium", *_FLAGS, f"--user-data-dir={folder / 'profile'}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self._number, self._rest = 0, b""
        self._pages: dict[str, Opened] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send("Browser.close", {}, None)
        self._process.wait(_ENDED)
        self._out.close()
        self._in.close()

    def open(
        self, at: Path | str, scheme: Literal["light", "dark"] = "light", width: int = 840, height: int = 300
    ) -> Opened:
        """A file, or what is at an address, until it has loaded."""
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Opened(session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", {}, session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", size, session)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._call("Emulation.setEmulatedMedia", media, session)
        self._call("Page.navigate", {"url": at if isinstance(at, str) else at.as_uri()}, session)
        while not self._loaded(self._event(), session):
            pass
        return page

    def value(self, page: Opened, expression: str) -> Any:
        """Of a JavaScript expression, as JSON has it; of a promise what it gives."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        told = self._call("Runtime.evaluate", asked, page.session)
        assert "exceptionDetails" not in told, f"{expression}: {told['exceptionDetails']}"
        return told["result"].get("value")

    def until(self, page: Opened, expression: str) -> Any:
        """The value, once it is true."""
        return until(lambda: self.value(page, expression), expression)

    def write(self, page: Opened, selector: str, text: str) -> None:
        """Into a field, as a keyboard would."""
        self.value(page, f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", {"text": text}, page.session)

    def press(self, page: Opened, key: Literal["Tab", "Enter"]) -> None:
        code = {"Tab": 9, "Enter": 13}[key]
        pressed: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", {"type": "keyDown", **pressed, **text}, page.session)
        self._call("Input.dispatchKeyEvent", {"type": "keyUp", **pressed}, page.session)

    def hold(self, page: Opened, pattern: str) -> None:
        """Requests whose address fits `pattern` (`*` is any text) wait from now on, until `let_go` or `lose`."""
        self._call("Fetch.enable", {"patterns": [{"urlPattern": pattern}]}, page.session)

    def holds(self, page: Opened) -> None:
        """Once there is such a request: the page says that it waits before the browser says that it asks."""
        until(lambda: self.value(page, "1") and page.held, "a request waits")

    def let_go(self, page: Opened) -> None:
        self._call("Fetch.disable", {}, page.session)
        page.held.clear()

    def lose(self, page: Opened) -> None:
        """Those that wait fail, as if nobody listened."""
        while page.held:
            lost = {"requestId": page.held.pop(), "errorReason": "ConnectionRefused"}
            self._call("Fetch.failRequest", lost, page.session)

    def close(self, page: Opened) -> None:
        self._call("Target.closeTarget", {"targetId": page.target})
        self._pages.pop(page.session)

    def picture(self, page: Opened) -> bytes:
        """PNG of the whole page."""
        asked = {"format": "png", "captureBeyondViewport": True}
        size = self._call("Page.getLayoutMetrics", {}, page.session)["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self._call("Page.captureScreenshot", {**asked, "clip": clip}, page.session)["data"])

    def _call(self, method: str, params: Mapping[str, Any], session: str | None = None) -> dict[str, Any]:
        number = self._send(method, params, session)
        while (told := self._event()).get("id") != number:
            pass
        assert "error" not in told, f"{method}: {told['error']}"
        found: dict[str, Any] = told["result"]
        return found

    def _send(self, method: str, params: Mapping[str, Any], session: str | None) -> int:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        self._out.write(json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0")
        self._out.flush()
        return self._number

    def _event(self) -> dict[str, Any]:
        """The next thing that it says; what a page says is kept with the page."""
        while b"\0" not in self._rest:
            more = os.read(self._in.fileno(), 1 << 16)
            assert more, "Chromium has ended"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        if page := self._pages.get(told.get("sessionId", "")):
            _note(page, told.get("method", ""), told.get("params", {}))
        return told

    @staticmethod
    def _loaded(told: Mapping[str, Any], session: str) -> bool:
        return told.get("method") == "Page.loadEventFired" and told["sessionId"] == session


def _note(page: Opened, method: str, said: Mapping[str, Any]) -> None:
    if method == "Network.requestWillBeSent":
        page.asked.append(said["request"]["url"])
    elif method == "Fetch.requestPaused":
        page.held.append(said["requestId"])
    elif method == "Runtime.exceptionThrown":
        page.complaints.append(said["exceptionDetails"]["text"])
    elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
        page.complaints.append(str(said["args"]))
    elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
        page.complaints.append(said["entry"]["text"])
