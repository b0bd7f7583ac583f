"""A gateway in front of two engines, asked all the time for everything that its dashboards show, and a Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from nexus_gateway.keys import digest
from nexus_release.config import load_settings
from nexus_release.watching.groups import groups, place_of
from nexus_release.watching.rules import written

from .gateway import OTHER, PLAIN, RELEASE, Gateway, write_routes
from .prometheus_server import Prometheus, prometheus_program
from .repository import ROOT
from .worker import Worker

ENVIRONMENT = "dev"
NAMESPACE = "nexus-dev"
BROKEN = "c" * 64
TEXT = "Please tell kim.yuna@example.org how os.path.join puts its parts together, " + "word for word, " * 12
HEADERS = {"authorization": "Bearer dev-key"}
ENV = {
    "GATEWAY_RATE_LIMIT_PER_MINUTE": "1000000",
    "GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES": "2",
    "GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS": "1",
    "GATEWAY_METRICS_TENANTS": "true",
}
"""Circuits open again and again; Prometheus has no key."""
AT_ONCE = 6
GIB = 1 << 30


@contextmanager
def busy_stack(folder: Path) -> Iterator[Prometheus]:
    prometheus_program()
    engine = ("--engine=mock", "--served-model-name=chat", "--ttft-ms=2", "--tokens-per-second=200")
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(*engine, "--enable-prompt-tokens-details")) for _ in range(2)]
        routes = write_routes(folder / "routes", {"all": document(*(worker.url for worker in workers))})
        gateway = Gateway(folder, "--routes", str(routes), "--keys", str(keys(folder)), env=ENV).wait()
        stack.callback(gateway.stop)
        targets = {gateway.port: {"job": "nexus-gateway", "namespace": NAMESPACE}}
        targets |= {_port(worker): {"job": "nexus-engines", "namespace": NAMESPACE} for worker in workers}
        targets[stack.enter_context(pods_told())] = {"job": "kube-state-metrics"}
        prometheus = Prometheus(folder, targets, {"rule_files": [str(rules(folder))]}, itself=True)
        stack.callback(prometheus.stop)
        stack.enter_context(asking(gateway))
        yield prometheus


def document(stable: str, new: str) -> dict[str, Any]:
    """Routes of every kind of trouble."""
    return {
        "upstreams": {
            "stable": {"url": stable, "release": RELEASE, "model": "chat"},
            "new": {"url": new, "release": OTHER, "model": "chat"},
            "broken": {"url": "mock://fail", "release": BROKEN},
            "narrow": {"url": "mock://slow?ttft=0.2", "max_parallel": 1},
            "tried": {"url": "mock://local"},
            "placed": {
                "endpoints": [stable, new],
                "model": "chat",
                "choice": {"strategy": "prefix", "prefill_tokens_per_second": 20_000, "ttft_penalty_seconds": 2},
            },
        },
        "routes": {
            "chat": {
                "strategy": "canary",
                "primary": "stable",
                "canary": "new",
                "percent": 40,
                "masking": {},
                "shadow": {"upstream": "tried"},
            },
            "split": {"strategy": "canary", "primary": "stable", "canary": "broken", "percent": 50},
            "failing": {"strategy": "direct", "upstream": "broken", "fallbacks": ["chat"]},
            "hopeless": {"strategy": "direct", "upstream": "broken"},
            "narrow": {"strategy": "direct", "upstream": "narrow"},
            "placed": {"strategy": "direct", "upstream": "placed"},
        },
        "policies": {"limited": {"requests_per_minute": 1}},
    }


def keys(folder: Path) -> Path:
    """By their own text as ids."""
    entries = [{"id": name, "digest": f"sha256:{digest(name.encode()).hex()}"} for name in ("dev-key", "limited")]
    (folder / "keys.yaml").write_text(json.dumps({"keys": entries}))
    return folder / "keys.yaml"


def rules(folder: Path) -> Path:
    """Of an environment that has a gateway, but worked out each second."""
    settings = load_settings(ROOT, ENVIRONMENT)
    place = place_of(ENVIRONMENT, settings)
    found = [{**written(group, place), "interval": "1s"} for group in groups(ENVIRONMENT, settings).values()]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": found}))
    return folder / "rules.yaml"


@contextmanager
def asking(gateway: Gateway) -> Iterator[None]:
    """By several callers at once, until the end."""
    over = threading.Event()

    def ask(turn: int) -> None:
        asked = cycle(("chat", "chat", "split", "failing", "hopeless", "narrow", "placed"))
        for _ in range(turn):
            next(asked)
        with httpx.Client(base_url=gateway.url, verify=PLAIN, timeout=60) as client:
            while not over.is_set():
                _asked(client, next(asked), HEADERS)
                _asked(client, "chat", {"authorization": "Bearer limited"})

    with ThreadPoolExecutor(AT_ONCE) as pool:
        turns = [pool.submit(ask, turn) for turn in range(AT_ONCE)]
        try:
            yield
        finally:
            over.set()
    for turn in turns:
        turn.result()


def _asked(client: httpx.Client, model: str, headers: dict[str, str]) -> None:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": TEXT}],
        "max_tokens": 12,
        "stream": True,
    }
    body["stream_options"] = {"include_usage": True}
    answer = client.post("/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code in (200, 429, 502, 503), answer.text


@contextmanager
def pods_told() -> Iterator[int]:
    """What kube-state-metrics would tell of two engines' pods, one of which has nothing to do; its port."""

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = "".join(_pod(name) for name in (f"chat-{RELEASE[:8]}", "idle-dddddddd")).encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pod(service: str) -> str:
    pod = {"namespace": NAMESPACE, "pod": f"{service}-predictor-1"}
    held = {"nvidia_com_gpu": 1, "cpu": 4, "memory": 32 * GIB}
    requests = [
        _line("kube_pod_container_resource_requests", amount, container="kserve-container", resource=resource, **pod)
        for resource, amount in held.items()
    ]
    return "".join((*requests, _line("kube_pod_status_scheduled", 1, condition="true", **pod)))


def _line(name: str, value: int, **labels: str) -> str:
    told = ",".join(f"{label}={json.dumps(said)}" for label, said in labels.items())
    return f"{name}{{{told}}} {value}\n"


def _port(worker: Worker) -> int:
    port = urlsplit(worker.url).port
    assert port is not None
    return port
