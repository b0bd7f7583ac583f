"""The files of the page, as they lie in the package, and the headers under which a browser may run them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

FOLDER = Path(__file__).with_name("static")
PATH = "/console/"
"""Below it are the files; the page itself is at `/`."""
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""`no-cache`: kept by the browser, and asked for by its tag each time: page and gateway are of one version."""


@dataclass(frozen=True)
class File:
    body: bytes
    headers: Mapping[str, str]


@cache
def files() -> Mapping[str, File]:
    """Path -> file; `/` is the page."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _KINDS:
            body, name = path.read_bytes(), path.relative_to(FOLDER).as_posix()
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            where = "/" if name == "index.html" else PATH + name
            found[where] = File(body, {**_HEADERS, "content-type": _KINDS[path.suffix], "etag": tag})
    return found


def add_shell(app: Starlette) -> None:
    below = [path for path in files() if path != "/"]
    routes = [Route("/" + path.removeprefix(PATH), _answer, methods=["GET"]) for path in below]
    app.router.routes.append(Route("/", _answer, methods=["GET"]))
    app.router.routes.append(Mount(PATH.rstrip("/"), Router(routes, redirect_slashes=False)))


async def _answer(request: Request) -> Response:
    file = files()[request.scope["path"]]
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if file.headers["etag"] in known:
        return Response(status_code=304, headers=file.headers)
    return Response(file.body, headers=dict(file.headers))
