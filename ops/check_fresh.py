"""Proves that what is generated follows from its sources: `check_fresh.py locks generated workflows`.

Exits 1 and names each file that differs, with the command that mends it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

RUN = [
    *("--extra", "gateway", "--extra", "worker", "--extra", "release", "--extra", "forges", "--extra", "train"),
    *("--group", "tools"),
]
LOCKS: dict[str, list[str]] = {
    "requirements/dev.txt": [*RUN, "--extra", "kserve", "--extra", "otlp", "--extra", "presidio", "--group", "dev"],
    "requirements/run.txt": [*RUN, "-c", "requirements/dev.txt"],
    "requirements/remote-data.txt": ["--extra", "remote-data", "-c", "requirements/dev.txt"],
    "requirements/gateway.txt": ["--extra", "gateway", "-c", "requirements/dev.txt"],
    "requirements/worker.txt": ["--extra", "worker", "-c", "requirements/dev.txt"],
    "requirements/check.txt": [
        *("pyproject.toml", "requirements/check.in"),
        *("--extra", "forges", "--extra", "gateway", "-c", "requirements/dev.txt"),
    ],
    "requirements/bento.txt": ["pyproject.toml", "--extra", "worker", "requirements/bento.in"],
    "requirements/clients.txt": ["requirements/clients.in"],
    "requirements/airflow.txt": ["requirements/airflow.in"],
    "requirements/hera.txt": ["requirements/hera.in"],
    "requirements/kfp.txt": ["requirements/kfp.in"],
    "requirements/litellm.txt": ["--extra", "gateway", "--extra", "litellm"],
    "requirements/vllm.txt": ["--override", "requirements/vllm.overrides", "requirements/vllm.in"],
}
KFP = [str(ROOT / ".venv-kfp/bin/python"), str(ROOT / "pipelines/release_kfp.py"), "compile"]
GENERATED: dict[str, list[str]] = {
    "environments/schema.json": ["nexus", "schema"],
    "docs/reference/object-rules.md": ["nexus", "policy", "--rules"],
    "gateway/routes.schema.json": ["nexus-gateway", "schema"],
    "gateway/log.schema.json": ["nexus-gateway", "schema", "--of", "log"],
    "gateway/audit.schema.json": ["nexus-gateway", "schema", "--of", "audit"],
    "gateway/decision.schema.json": ["nexus-gateway", "schema", "--of", "decisions"],
    "gateway/openapi.json": ["nexus-gateway", "schema", "--of", "openapi"],
    "gateway/policy-tests.schema.json": ["nexus-gateway", "schema", "--of", "policy-tests"],
    "docs/reference/log-schema.md": ["nexus-gateway", "reference", "log"],
    "docs/reference/errors.md": ["nexus-gateway", "reference", "errors"],
    "docs/reference/settings.md": ["nexus-gateway", "reference", "settings"],
    "docs/reference/metrics.md": ["nexus-gateway", "reference", "metrics"],
    "pipelines/release_kfp.yaml": KFP,
    "pipelines/release_kfp_kubernetes.yaml": [*KFP, "--kubernetes"],
}


def locks() -> list[str]:
    """A lock is fresh where compiling with its own pins as preferences gives it back."""
    return [path for path, flags in LOCKS.items() if _compiled(path, flags) != _pins((ROOT / path).read_text())]


def generated() -> list[str]:
    return [
        *_contract(),
        *_printed(),
    ]


def _contract() -> list[str]:
    """The Python of the gRPC contract."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, ROOT / "ops/generate_contract.py", folder], check=True)
        made = sorted(Path(folder).rglob("*.py*"))
        theirs = {ROOT / "serving/contracts" / path.relative_to(folder): path for path in made}
        return [
            str(path.relative_to(ROOT))
            for path, new in theirs.items()
            if not path.exists() or path.read_bytes() != new.read_bytes()
        ]


def _printed() -> list[str]:
    return [
        path
        for path, command in GENERATED.items()
        if subprocess.run([BIN / command[0], *command[1:]], check=True, capture_output=True, text=True).stdout
        != (ROOT / path).read_text()
    ]


def workflows() -> list[str]:
    """Rendered where Hera is."""
    command = [ROOT / ".venv-hera" / "bin" / "python", ROOT / "workflows" / "release_hera.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.stderr:
        raise RuntimeError(done.stderr)
    return done.stdout.splitlines()


def _compiled(path: str, flags: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "lock.txt"
        shutil.copyfile(ROOT / path, copy)
        options = ["--quiet", "--universal", "--generate-hashes", "--no-emit-index-url", "--no-header"]
        subprocess.run(
            [BIN / "uv", "pip", "compile", *options, "--python-version", "3.11", *_inputs(path), *flags, "-o", copy],
            check=True,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        return _pins(copy.read_text())


def _inputs(path: str) -> list[str]:
    return [] if (ROOT / path).with_suffix(".in").exists() else ["pyproject.toml"]


def _pins(text: str) -> list[str]:
    """The requirement lines; hashes may grow when a wheel is added for a pinned version, and comments may move."""
    return [line.removesuffix(" \\") for line in text.splitlines() if line and line[0] not in " #"]


CHECKS: dict[str, tuple[Callable[[], list[str]], str]] = {
    "locks": (locks, "make lock"),
    "generated": (generated, "make generate"),
    "workflows": (workflows, "make generate"),
}


def main(names: list[str]) -> int:
    stale = [(path, CHECKS[name][1]) for name in names for path in CHECKS[name][0]()]
    for path, mend in stale:
        print(f"{path} does not follow from its sources: run `{mend}` and commit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
