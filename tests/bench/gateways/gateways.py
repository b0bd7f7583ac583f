"""Which gateways are compared, with what each has on, and how each is started on this machine.

All run as one worker, on one core, before the engine of `ends.py`. One that cannot be had here is left out, by name
and with the reason.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_release.local.engines import beside_python

from ...support.repository import ROOT
from .ends import KEY, MODEL

NEXUS = "nexus"
NEXUS_WIRE = "nexus-wire"
NEXUS_ASGI = "nexus-asgi"
NGINX = "nginx"
NGINX_FEATURES = "nginx-features"
HAPROXY = "haproxy"
VLLM_ROUTER = "vllm-router"
SGLANG_ROUTER = "sglang-router"
FASTAPI = "fastapi-httpx"
LITELLM = "litellm"
ECHO = "echo-proxy"

PEERS = Path(__file__).parent / "peers"
BENCH = ROOT / ".venv-bench" / "bin"
_TENANT = "bench"
_PLENTY = 1_000_000_000


@dataclass(frozen=True)
class Start:
    """A command, and what its environment needs besides."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gateway:
    name: str
    on: str
    """Its features that are on, in words."""
    version: Callable[[], str | None]
    """None where it is not on this machine."""
    start: Callable[[Path, int, int], Start]
    """By a folder of its own, its port, and the engine's."""
    missing: str = ""
    """What to do where it is not here."""
    health: str = "/health"
    slow: bool = False


def chosen(names: str) -> list[Gateway]:
    """Those of the comma-separated `names`, in the order of KNOWN; all where it is empty. Raises KeyError."""
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(KNOWN)
    for name in wanted:
        KNOWN[name]
    return [gateway for name, gateway in KNOWN.items() if name in wanted]


def there(gateways: Iterable[Gateway]) -> tuple[list[tuple[Gateway, str]], dict[str, str]]:
    """(gateway, version) of those that are on this machine, and why each other is not."""
    found, missing = [], {}
    for gateway in gateways:
        if version := gateway.version():
            found.append((gateway, version))
        else:
            missing[gateway.name] = gateway.missing
    return found, missing


def filled(name: str, folder: Path, port: int, engine: int) -> Path:
    """A configuration of `peers/`, with its places filled in, written to `folder`."""
    form = (PEERS / name).read_text(encoding="utf-8")
    written = folder / name
    written.write_text(form.format(folder=folder, port=port, engine=engine, key=KEY, model=MODEL), encoding="utf-8")
    return written


def _nexus(edge: str) -> Callable[[Path, int, int], Start]:
    def start(folder: Path, port: int, engine: int) -> Start:
        policy = {"requests_per_minute": _PLENTY, "tokens_per_minute": _PLENTY, "max_parallel": 100_000}
        routes = {
            "upstreams": {"engine": {"url": f"http://127.0.0.1:{engine}", "release": "a" * 64}},
            "routes": {MODEL: {"strategy": "direct", "upstream": "engine"}},
            "policies": {_TENANT: policy},
        }
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        keys = {"keys": [{"id": "bench-1", "tenant": _TENANT, "digest": f"sha256:{digest}", "models": [MODEL]}]}
        (folder / "routes.yaml").write_text(json.dumps(routes))
        (folder / "keys.yaml").write_text(json.dumps(keys))
        files = (f"--routes={folder / 'routes.yaml'}", f"--keys={folder / 'keys.yaml'}", f"--audit={folder / 'audit'}")
        return Start((beside_python("nexus-gateway"), "serve", *files, f"--port={port}"), {"GATEWAY_EDGE": edge})

    return start


def _nginx(configuration: str) -> Callable[[Path, int, int], Start]:
    def start(folder: Path, port: int, engine: int) -> Start:
        return Start(("nginx", "-c", str(filled(configuration, folder, port, engine))))

    return start


def _haproxy(folder: Path, port: int, engine: int) -> Start:
    return Start(("haproxy", "-db", "-f", str(filled("haproxy.cfg", folder, port, engine))))


def _vllm_router(folder: Path, port: int, engine: int) -> Start:
    return Start((str(BENCH / "vllm-router"), *_router_words(port, engine), "--log-level=error"))


def _sglang_router(folder: Path, port: int, engine: int) -> Start:
    return Start((str(BENCH / "sglang-router"), "launch", *_router_words(port, engine), "--log-level=error"))


def _router_words(port: int, engine: int) -> tuple[str, ...]:
    address = ("--host=127.0.0.1", f"--port={port}", f"--worker-urls=http://127.0.0.1:{engine}")
    return (*address, "--policy=round_robin", "--max-concurrent-requests=8192", f"--prometheus-port={port + 1}")


def _fastapi(folder: Path, port: int, engine: int) -> Start:
    words = ("--host=127.0.0.1", f"--port={port}", "--no-access-log", "--log-level=warning")
    return Start(
        (sys.executable, "-m", "uvicorn", "tests.bench.gateways.peers.fastapi_httpx:app", f"--app-dir={ROOT}", *words),
        {"ENGINE_URL": f"http://127.0.0.1:{engine}", "API_KEY": KEY},
    )


def _litellm(folder: Path, port: int, engine: int) -> Start:
    configuration = filled("litellm.yaml", folder, port, engine)
    words = (f"--config={configuration}", "--host=127.0.0.1", f"--port={port}", "--num_workers=1")
    return Start((str(BENCH / "litellm"), *words), {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"})


def _echo(folder: Path, port: int, engine: int) -> Start:
    return Start((sys.executable, str(PEERS / "echo_proxy.py"), str(port), str(engine)))


def nexus_version() -> str:
    return importlib.metadata.version("nexus-platform")


def _of_package(*names: str) -> Callable[[], str]:
    return lambda: ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def bench_version(name: str) -> Callable[[], str | None]:
    """By the folder of its metadata: that environment's Python need not be started."""

    def version() -> str | None:
        pattern = f"lib/python*/site-packages/{name.replace('-', '_')}-*.dist-info"
        found = next(BENCH.parent.glob(pattern), None)
        return found.name.removesuffix(".dist-info").rpartition("-")[2] if found else None

    return version


def _of_server(name: str) -> Callable[[], str | None]:
    def version() -> str | None:
        if not (path := shutil.which(name) or shutil.which(name, path="/usr/sbin")):
            return None
        said = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
        found = re.search(r"(\d+\.\d+\.\d+)", said.stdout + said.stderr)
        return found[1] if found else None

    return version


_SERVICES = "not here: `SERVICES=bench make services` installs it (Debian)"
_SETUP = "not here: `make setup-bench` makes its environment"

KNOWN = {
    gateway.name: gateway
    for gateway in (
        Gateway(NGINX, "nothing", _of_server("nginx"), _nginx("nginx.conf"), _SERVICES),
        Gateway(
            NGINX_FEATURES, "a key, a limit, request ids, a JSON line for each request",
            _of_server("nginx"), _nginx("nginx_features.conf"), _SERVICES, health="",
        ),
        Gateway(HAPROXY, "nothing", _of_server("haproxy"), _haproxy, _SERVICES),
        Gateway(
            NEXUS, "everything: keys, limits, logs, audit, metrics, circuit breaker, ids",
            nexus_version, _nexus("native"),
        ),
        Gateway(NEXUS_WIRE, "the same in Python alone (`GATEWAY_EDGE=wire`)", nexus_version, _nexus("wire")),
        Gateway(NEXUS_ASGI, "the same by `GATEWAY_EDGE=asgi`", nexus_version, _nexus("asgi")),
        Gateway(
            VLLM_ROUTER, "health checks, circuit breaker, retries, metrics",
            bench_version(VLLM_ROUTER), _vllm_router, _SETUP,
        ),
        Gateway(
            SGLANG_ROUTER, "health checks, circuit breaker, retries, metrics",
            bench_version(SGLANG_ROUTER), _sglang_router, _SETUP,
        ),
        Gateway(FASTAPI, "a key", _of_package("fastapi", "httpx", "uvicorn"), _fastapi, slow=True),
        Gateway(
            LITELLM, "a key; no database, logs of errors only", bench_version("litellm"), _litellm, _SETUP,
            health="/health/liveliness", slow=True,
        ),
        Gateway(ECHO, "nothing", _of_package("uvloop"), _echo),
    )
}  # fmt: skip
