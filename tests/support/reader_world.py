"""What a reader of a how-to has: a checkout of a company's repository with releases in it, a gateway with a key that
answers from two upstreams, Redis, and the files that pages speak of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nexus_release.local.free_ports import free_port
from nexus_release.record import release_id

from .gateway import BIN, Gateway
from .promotable import MODEL, Company, plant_clusters, promotable
from .redis_server import RedisServer
from .remotes import Remote, git
from .repository import ROOT
from .shell import said_by, with_free_ports
from .shell_words import commands, logical_lines
from .signing import COMPANY, SUCCESSOR, public
from .upstream import Engine

ELSEWHERE = {
    **dict.fromkeys(("kubectl", "argo", "kind"), "a cluster"),
    "docker": "Docker's daemon",
    "ops/compose/stack.sh": "Docker's daemon",
    "pip": "a registry of packages",
    "airflow": "an Airflow that runs",
    ".venv-kfp/bin/python": ".venv-kfp",
    ".venv-hera/bin/python": ".venv-hera",
}
"""Programs that a reader has beside the checkout, and what they need."""
_SHOWN_BY = {
    r"--registry\b|models:/": "a registry",
    r"example\.com|gateway\.local|s3://|/etc/": "a company's own servers",
    r"specs/handbook-chat": "a company's own servers",  # its dataset is in their bucket
    r"\bKFP_": "Kubeflow Pipelines",
    r"localhost:8080|AIRFLOW_|venv-airflow|\bNEXUS_BIN=": "an Airflow that runs",
    r"\bNEXUS_COMPOSE=": "Docker's daemon",
}
"""Expression of a line -> what it needs."""
_BESIDE = ("docs", "gateway", "ops", "serving", "requirements", "pyproject.toml", "policies", "tests")
ROUTES = "served/routes.d"
"""Where the routes of the gateway are, in the checkout and in Git."""
_SECONDS = 120.0
_LITELLM = "model_list: [{model_name: chat, litellm_params: {model: hosted_vllm/x, api_base: http://10.0.0.1:8000/v1}}]"
_SERVE = """#!/bin/sh
# A reader leaves `serve` running. Here it is left once it answers, by itself: what it is given must be taken.
if [ "$1" != serve ]; then exec {bin}/nexus-gateway "$@"; fi
{bin}/nexus-gateway "$@" --port {port} > served.log 2>&1 &
curl -sf -o /dev/null --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/health ||
  {{ cat served.log; exit 1; }}
echo "serve: it answers"
kill $!
wait $! || true
"""
_EDIT = """#!/bin/sh
case "$1" in *EDITMSG) echo 'By hand' > "$1" ;; *) echo '# by hand' >> "$1" ;; esac
"""


@dataclass(frozen=True)
class Reader:
    home: Path
    """The checkout."""
    environment: Mapping[str, str]
    says: Mapping[str, str]
    """What pages write, and what it is here: ids, addresses, folders."""

    def follow(self, script: str, more: Mapping[str, str], files: Mapping[str, str]) -> str:
        """What it prints, with the files that its page shows. Fails where a command of it fails."""
        for path, text in files.items():
            (self.home / path).parent.mkdir(parents=True, exist_ok=True)
            (self.home / path).write_text(text, encoding="utf-8")
        return said_by(self.here(script, more), self.home, self.environment, _SECONDS)

    def here(self, text: str, more: Mapping[str, str]) -> str:
        for written, found in {**more, **self.says}.items():
            text = text.replace(written, found)
        return with_free_ports([text])[0]

    def run_python(self, text: str) -> str:
        (self.home / "page.py").write_text(self.here(text, {}), encoding="utf-8")
        return said_by("python page.py", self.home, self.environment, _SECONDS)


def runnable(block: str, has: Collection[str] = ()) -> list[str]:
    """The lines of a block without what cannot be run on a machine with a checkout, and with what it `has` besides."""
    return [line for line in logical_lines(block) if any(commands(line)) and not _needs(line) - set(has)]


def needs(block: str) -> set[str]:
    """What its commands need that is not here."""
    return {need for line in logical_lines(block) for need in _needs(line)}


def _needs(line: str) -> set[str]:
    found = {ELSEWHERE[words[0]] for words in commands(line) if words[0] in ELSEWHERE}
    found |= {"a make target of its own" for words in commands(line) if words[0] == "make"}
    return found | {need for shown, need in _SHOWN_BY.items() if re.search(shown, line)}


@contextmanager
def reader(folder: Path) -> Iterator[Reader]:
    remote = Remote(folder, plant_clusters)
    company = Company(remote, folder)
    one, two = promotable(1), promotable(2)
    company.stable(one, "staging", "local")
    company.stable(two, "dev")
    first, second = release_id(one.content), release_id(two.content)
    start = remote.head
    _lands_at_once(remote, "staging")
    engine, redis = Engine().start(), RedisServer(folder).start()
    _routes_in_git(remote, _canary(engine, first, second))
    remote.git("branch", "proposed", "main")
    home = _checkout(remote, folder)
    decisions = folder / "decisions"
    gateway = Gateway(
        folder,
        *("--routes", str(home / ROUTES), "--decisions", str(decisions), "--audit", str(home / "audit")),
        env={"GATEWAY_REDIS_URL": redis.url},
    ).wait()
    try:
        yield Reader(
            home,
            _environment(company, gateway, home, folder),
            {
                f"admit/staging/{MODEL}/3b5d2c9e0a1b": "proposed",
                "3b5d2c9e": first[:8],
                "9a1f0c44": second[:8],
                "4f1d09aa": start[:8],
                "/srv/nexus": str(home / "served/checkout"),
                "http://127.0.0.1:8000": gateway.url,
                "redis://localhost:6379/0": redis.url,
                "/var/log/nexus/decisions": str(decisions),
                "support-chat": MODEL,
                "sha256:5d0c…": one.content.dataset.digest,
            },
        )
    finally:
        assert gateway.stop() == 0
        redis.kill()
        engine.stop()


def _lands_at_once(remote: Remote, environment: str) -> None:
    """What a page proposes one line after the other is merged in between by nobody."""
    path = f"environments/{environment}/settings.yaml"
    settings = {**yaml.safe_load(remote.file(path)), "landing": "merge"}
    remote.commit({path: yaml.safe_dump(settings)}, "Land at once")


def _routes_in_git(remote: Remote, routes: Mapping[str, Any]) -> None:
    """Beside `gitops/`, which holds what is rendered and no more."""
    remote.pull()
    subprocess.run([BIN / "nexus", "render", "--root", remote.clone], check=True, capture_output=True)
    remote.commit({f"{ROUTES}/chat.yaml": yaml.safe_dump(routes)}, "Routes by hand")


def _checkout(remote: Remote, folder: Path) -> Path:
    home = folder / "nexus"
    git(folder, "clone", "--quiet", str(remote.path), str(home))
    git(home, "config", "user.name", "Reader")
    git(home, "config", "user.email", "reader@example.org")
    for name in _BESIDE:
        if not (home / name).exists():
            (home / name).symlink_to(ROOT / name)
    (home / ".venv").symlink_to(BIN.parent)
    shutil.copytree(ROOT / "pipelines/specs", home / "pipelines/specs", dirs_exist_ok=True)
    (home / "keys.yaml").write_text(yaml.safe_dump({"keys": [{"id": "x", "digest": "sha256:" + "0" * 64}]}))
    (home / "routes.d").symlink_to(home / ROUTES)
    (home / "gateway.log").symlink_to(folder / "gateway.log")
    (home / "request.json").write_text('{"model": "chat", "messages": [{"role": "user", "content": "hello"}]}')
    (home / "config.yaml").write_text(_LITELLM)
    (home / "environments/keys").mkdir(exist_ok=True)
    (home / "environments/keys/2026.pem").write_text(public(COMPANY).pem)
    (home / "new.pem").write_text(SUCCESSOR)
    unknown = git(home, "ls-files", "--others", "--exclude-standard", "--directory").splitlines()
    (home / ".git/info/exclude").write_text("".join(f"/{name.rstrip('/')}\n" for name in unknown))
    return home


def _canary(engine: Engine, first: str, second: str) -> Mapping[str, Any]:
    return {
        "upstreams": {
            "chat-1": {"url": engine.url("ok"), "release": first},
            "chat-2": {"url": engine.url("ok"), "release": second},
        },
        "routes": {
            "chat": {"strategy": "canary", "primary": "chat-1", "canary": "chat-2", "percent": 10},
            MODEL: {"strategy": "direct", "upstream": "chat-1"},
        },
    }


def _environment(company: Company, gateway: Gateway, home: Path, folder: Path) -> Mapping[str, str]:
    shim = folder / "bin"
    shim.mkdir()
    (shim / "nexus-gateway").write_text(_SERVE.format(bin=BIN, port=free_port()))
    (shim / "nexus-gateway").chmod(0o755)
    (shim / "edit").write_text(_EDIT)
    (shim / "edit").chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_", "MLFLOW"))}
    return clean | {
        "PATH": f"{shim}:{BIN}:{clean['PATH']}",
        "HOME": str(folder),
        "KEY": "dev-key",
        "EDITOR": str(shim / "edit"),
        "NEXUS_GATEWAY": gateway.url,
        "NEXUS_GATEWAY_KEY": "dev-key",
        "NEXUS_REMOTE": str(company.connections.remote),
        "NEXUS_WORK": company.connections.work,
        "NEXUS_SIGNING_KEY": COMPANY,
        "NEXUS_STATE": str(folder / "state"),
    }
