"""A double behind a port that speaks what our tasks ask of two APIs: Argo Workflows v1 and Kubeflow Pipelines v2beta1.

It runs nothing. Paths, bodies, statuses and error bodies are those of the two projects' own servers; how a run goes is
told by the name of its template or pipeline:

- `good` is running when it is first looked at, and then has succeeded; `long` is looked at ten times before;
- `bad` has failed, and succeeds when it is started again; `slow` goes on until `finish`;
- `drops` closes the connection at the first two looks, and is busy (503) at the third;
- `lost` makes the run and closes the connection in place of an answer;
- `raced`, once it has succeeded, is said once not to be there, as where two submit at once (Argo alone);
- `invalid` is refused (400), and any other name is not there (404).
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as own
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "cluster-token"
KNOWN = {"good", "long", "bad", "slow", "drops", "lost", "raced"}


@dataclass
class DoneRun:
    """A run as the double keeps it, for both APIs."""

    id: str
    name: str
    template: str
    params: str
    phase: str = "Running"
    stopped: bool = False
    calls: Counter[str] = own(default_factory=Counter)
    """How often it was submitted, looked at, started again and stopped."""


class Refusal(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message}


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Clusters:
    def __init__(self) -> None:
        self.runs: dict[str, DoneRun] = {}
        self.asked: list[str] = []
        """Method and path of each request."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def finish(self, template: str) -> None:
        self.run_of(template).phase = "Succeeded"

    def run_of(self, template: str) -> DoneRun:
        """The only run of it."""
        (run,) = (run for run in self.runs.values() if run.template == template)
        return run

    def answer(self, method: str, target: str, body: Any, token: str) -> dict[str, Any]:
        with self._lock:
            self.asked.append(f"{method} {urlsplit(target).path}")
            if token != f"Bearer {TOKEN}":
                raise Refusal(401, 16, "token not valid")
            path = urlsplit(target).path.strip("/").split("/")
            if path[:3] == ["api", "v1", "workflows"]:
                return self._argo(method, path[4:], body)
            if path[:3] == ["apis", "v2beta1", "runs"]:
                return self._kfp(method, path[3:], parse_qs(urlsplit(target).query), body)
            raise Refusal(404, 5, "Not Found")

    def _argo(self, method: str, path: list[str], body: Any) -> dict[str, Any]:
        if method == "POST" and path == ["submit"]:
            assert body["resourceKind"] == "WorkflowTemplate"
            name = body["submitOptions"]["name"]
            if name in self.runs:
                raise Refusal(409, 6, f'workflows.argoproj.io "{name}" already exists')
            (argument,) = body["submitOptions"]["parameters"]
            return _workflow(self._made(name, name, body["resourceName"], argument.removeprefix("params=")))
        run = self._there(path[0], f'workflows.argoproj.io "{path[0]}" not found')
        if run.template == "raced" and run.phase == "Succeeded" and not run.calls["hidden"]:
            run.calls["hidden"] += 1
            raise Refusal(404, 5, f'workflows.argoproj.io "{run.name}" not found')
        if (method, path[1:]) == ("GET", []):
            self._looked_at(run)
        elif (method, path[1:]) == ("PUT", ["retry"]):
            self._again(run)
        elif (method, path[1:]) == ("PUT", ["terminate"]):
            self._stopped(run)
        return _workflow(run)

    def _kfp(self, method: str, path: list[str], query: dict[str, list[str]], body: Any) -> dict[str, Any]:
        if not path and method == "GET":
            (predicate,) = json.loads(query["filter"][0])["predicates"]
            assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
            found = [run for run in self.runs.values() if run.name == predicate["string_value"]]
            return {"runs": [_kfp_run(run) for run in found], "total_size": len(found)} if found else {}
        if not path:
            params = body["runtime_config"]["parameters"]["params"]
            pipeline = body["pipeline_version_reference"]["pipeline_id"]
            return _kfp_run(self._made(str(uuid.uuid4()), body["display_name"], pipeline, params))
        id, _, verb = path[0].partition(":")
        run = self._there(id, f"Run {id} not found")
        if verb:
            {"retry": self._again, "terminate": self._stopped}[verb](run)
            return {}
        self._looked_at(run)
        return _kfp_run(run)

    def _made(self, id: str, name: str, template: str, params: str) -> DoneRun:
        if template == "invalid":
            raise Refusal(400, 3, "spec.arguments.params is not as the template wants it")
        if template not in KNOWN:
            raise Refusal(404, 5, f'"{template}" not found')
        run = self.runs[id] = DoneRun(id, name, template, params)
        run.calls["submitted"] += 1
        if template == "lost":
            raise Dropped
        return run

    def _there(self, id: str, message: str) -> DoneRun:
        if id not in self.runs:
            raise Refusal(404, 5, message)
        return self.runs[id]

    def _looked_at(self, run: DoneRun) -> None:
        run.calls["looked at"] += 1
        looks = run.calls["looked at"]
        if run.template == "drops" and looks <= 2:
            raise Dropped
        if run.template == "drops" and looks == 3:
            raise Refusal(503, 14, "upstream connect error")
        if run.stopped:
            run.phase = "Failed"
        elif run.template == "bad":
            run.phase = "Failed" if run.calls["started again"] == 0 else "Succeeded"
        elif run.template != "slow" and looks > (10 if run.template == "long" else 1):
            run.phase = "Succeeded"

    def _again(self, run: DoneRun) -> None:
        if run.phase != "Failed":
            raise Refusal(400, 3, "workflow must be Failed/Error to retry")
        run.calls["started again"] += 1
        run.phase, run.stopped = "Running", False

    def _stopped(self, run: DoneRun) -> None:
        run.calls["stopped"] += 1
        run.stopped = True


def _workflow(run: DoneRun) -> dict[str, Any]:
    shutdown = {"shutdown": "Terminate"} if run.stopped else {}
    message = {"message": "validate: exit status 1"} if run.phase == "Failed" else {}
    return {"metadata": {"name": run.name}, "spec": shutdown, "status": {"phase": run.phase, **message}}


def _kfp_run(run: DoneRun) -> dict[str, Any]:
    state = "CANCELED" if run.stopped and run.phase == "Failed" else run.phase.upper()
    error = {"error": {"code": 13, "message": "validate: exit status 1"}} if run.phase == "Failed" else {}
    return {"run_id": run.id, "display_name": run.name, "state": state, **error}


def _handler(clusters: Clusters) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                status, said = 200, clusters.answer(self.command, self.path, body, self.headers["authorization"] or "")
            except Refusal as refusal:
                status, said = refusal.status, refusal.body
            except Dropped:
                return
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - http.server looks for these names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: `asked` has it."""

    return Handler
