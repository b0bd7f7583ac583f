"""A forge on this machine: the answers of GitHub, GitLab and Gitea to what Nexus asks, in the form of their references.

https://docs.github.com/rest/pulls/pulls, https://docs.gitlab.com/api/merge_requests, https://gitea.com/api/swagger. It
keeps pull requests as they do, and can be told to fail.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from nexus_release.adapters.forges import ForgeKind

TOKEN = "forge-secret-0123456789"
HEAD = "ab" * 20


@dataclass
class Fault:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    method: str = ""
    """The method that it befalls; empty for any."""


class ForgeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, kind: ForgeKind) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind, self.repository = kind, "acme/models"
        self.pulls: list[dict[str, Any]] = []
        self.reviews: list[tuple[str, str, bool]] = []
        """(who, APPROVED or another state, whether of the branch as it is now). Who is gone by now is empty."""
        self.most = 1000
        """Reviews on a page, whatever is asked for."""
        self.readers: set[str] = set()
        """Who may only read the repository; everybody else may write."""
        self.strangers: set[str] = set()
        """Whose rights GitHub does not know, as of bots."""
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.late = False
        """The next listing does not show what is there, as where two open at once."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def open(self, branch: str, title: str, text: str, repository: int = 1) -> dict[str, Any]:
        """`repository` is the branch's: 1 is the one that is asked, another somebody's copy of it."""
        number = len(self.pulls) + 1
        user = {"login": "bot", "username": "bot"}
        made = {
            "number": number,
            "iid": number,
            "id": 1000 + number,
            "state": "opened" if self.kind == "gitlab" else "open",
            "title": title,
            "body": text,
            "description": text,
            "html_url": f"https://forge.example/pulls/{number}",
            "web_url": f"https://forge.example/pulls/{number}",
            "url": f"{self.url}/repos/acme/models/pulls/{number}",
            "user": user,
            "author": user,
            "head": {"ref": branch, "sha": HEAD, "repo_id": repository},
            "base": {"ref": "main", "repo_id": 1},
            "source_branch": branch,
            "sha": HEAD,
            "source_project_id": repository,
            "target_project_id": 1,
        }
        self.pulls.append(made)
        return made


@contextmanager
def forge(kind: ForgeKind) -> Iterator[ForgeServer]:
    with ForgeServer(kind) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ForgeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        path, query = unquote(urlsplit(self.path).path), parse_qs(urlsplit(self.path).query)
        self.server.asked.append(f"{method} {path}")
        if not self._let_in():
            self._answer(401, {"message": "Bad credentials"})
        elif fault := self._fault(method):
            self._answer(fault.status, fault.body or {"message": "something is wrong"}, fault.headers)
        else:
            self._answer(*self._play(method, path, query, body))

    def _let_in(self) -> bool:
        given = {self.headers.get("Authorization", ""), self.headers.get("PRIVATE-TOKEN", "")}
        right = {"github": f"token {TOKEN}", "gitlab": TOKEN, "gitea": f"token {TOKEN}"}[self.server.kind]
        return right in given or (self.server.kind == "github" and f"Bearer {TOKEN}" in given)

    def _fault(self, method: str) -> Fault | None:
        found = next((one for one in self.server.faults if one.method in ("", method)), None)
        if found:
            self.server.faults.remove(found)
        return found

    def _play(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        roots = {
            "github": f"/repos/{self.server.repository}/pulls",
            "gitlab": f"/api/v4/projects/{self.server.repository}/merge_requests",
            "gitea": f"/api/v1/repos/{self.server.repository}/pulls",
        }
        root = roots[self.server.kind]
        people = f"/repos/{self.server.repository}/collaborators/"
        if self.server.kind == "github" and path.startswith(people):
            who = path.removeprefix(people).removesuffix("/permission")
            if who in self.server.strangers:
                return 404, {"message": f"{who} is not a user"}
            return 200, {"permission": "read" if who in self.server.readers else "write"}
        if not path.startswith(root):
            return 404, {"message": "404 Project Not Found" if self.server.kind == "gitlab" else "Not Found"}
        rest = path.removeprefix(root).strip("/").split("/")
        if rest == [""]:
            return self._list(query) if method == "GET" else self._create(body)
        pull = self.server.pulls[int(rest[0]) - 1]
        if rest[1:] in (["reviews"], ["approvals"]):
            return 200, self._reviews(query)
        if method != "GET":
            pull |= body
            pull |= {"body": body.get("body", body.get("description")), "description": body.get("description")}
        return 200, pull

    def _list(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        if self.server.late:
            self.server.late = False
            return 200, []
        wanted = query.get("head", query.get("source_branch", [""]))[0].removeprefix("acme:")
        open_ones = [one for one in self.server.pulls if one["state"] in ("open", "opened")]
        if query.get("page", ["1"])[0] != "1":
            return 200, []
        return 200, [one for one in open_ones if not wanted or one["head"]["ref"] == wanted]

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        branch = body.get("head", body.get("source_branch"))
        own = [one for one in self.server.pulls if one["source_project_id"] == 1]
        if any(one["head"]["ref"] == branch and one["state"] in ("open", "opened") for one in own):
            said = f"A pull request already exists for acme:{branch}."
            if self.server.kind == "github":
                return 422, {"message": "Validation Failed", "errors": [{"message": said}]}
            return 409, {"message": [said] if self.server.kind == "gitlab" else said}
        text = body.get("body", body.get("description", ""))
        return 201, self.server.open(str(branch), body["title"], text)

    def _reviews(self, query: dict[str, list[str]]) -> Any:
        if self.server.kind == "gitlab":
            agreed = [who for who, state, _ in self.server.reviews if state == "APPROVED"]
            return {"approved_by": [{"user": {"username": who}} for who in agreed]}
        page, limit = (int(query.get(name, [default])[0]) for name, default in (("page", "1"), ("limit", "1000")))
        limit = min(limit, self.server.most)
        return [
            {
                "id": number,
                "user": {"login": who} if who else None,
                "state": state,
                "commit_id": HEAD if fresh else "cd" * 20,
                "stale": not fresh,
                "dismissed": False,
                "official": who not in self.server.readers,
            }
            for number, (who, state, fresh) in enumerate(self.server.reviews)
        ][(page - 1) * limit : page * limit]

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
