"""A real gateway process, and routes for it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from nexus_release.local.free_ports import free_port

BIN = Path(sys.executable).parent
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients over plain HTTP, which would load the machine's certificates for each request: 25 ms of a core."""
RELEASE = "a" * 64
OTHER = "b" * 64
EDGE = {"GATEWAY_EDGE": edge} if (edge := os.environ.get("NEXUS_EDGE")) else {}
"""The edge of every gateway of a run of the tests, where it is not the gateway's own choice."""


def until(holds: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """What `holds` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return found


def direct(name: str, url: str, release: str | None = RELEASE, **timeouts: float) -> dict[str, Any]:
    """A route file with one model of that name, answered by one upstream."""
    upstream = {"url": url, **({"release": release} if release else {})}
    route: dict[str, Any] = {"strategy": "direct", "upstream": f"{name}-1"}
    if timeouts:
        route["timeouts"] = timeouts
    return {"upstreams": {f"{name}-1": upstream}, "routes": {name: route}}


class Gateway:
    """`nexus-gateway serve` on a free port; its log is read when it has ended."""

    def __init__(self, folder: Path, *flags: str, env: Mapping[str, str] | None = None, bin_folder: Path = BIN) -> None:
        self.port = free_port()
        self.log = folder / "gateway.log"
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")} | EDGE
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(bin_folder / "nexus-gateway"), "serve", "--port", str(self.port), *flags],
                stdout=out,
                stderr=out,
                env={**clean, **(env or {})},
            )

    def wait(self, seconds: float = 60.0) -> Gateway:
        until(lambda: self._health() or self.process.poll() is not None, "the gateway answers", seconds)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def lines(self) -> list[dict[str, Any]]:
        """While it runs, those that are whole: it writes many at once, and they are not all there at once."""
        ended = self.process.poll() is not None
        text, end, begun = self.log.read_text().rpartition("\n")
        assert not (ended and begun), f"its log ends within a line: {begun}"
        return [json.loads(line) for line in (text + end).splitlines()]

    def get(self, path: str, key: str | None = "dev-key") -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.get(self.url + path, headers=headers, timeout=30, verify=PLAIN)

    def ask(self, model: str = "chat", *, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        given = {"authorization": "Bearer dev-key", **(headers or {})}
        document = {"model": model, "messages": [{"role": "user", "content": "hello"}], **body}
        return httpx.post(f"{self.url}/v1/chat/completions", json=document, headers=given, timeout=30, verify=PLAIN)

    def config(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/admin/config").json()
        return answer

    def _health(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", verify=PLAIN).status_code == 200
        except httpx.TransportError:
            return False


def write_routes(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Path:
    """A folder of route files, one for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in files.items():
        (folder / f"{name}.yaml").write_text(json.dumps(document))
    return folder


def posted(body: bytes, more: bytes = b"") -> bytes:
    """A whole chat request as bytes, for a test that holds the socket itself. `more`: headers, each with its end."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev-key\r\n" + more
    return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def code(answer: httpx.Response) -> str:
    """The `code` of an error, after looking at the envelope's shape."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])
