"""Proves that what is generated follows from its sources: `check_fresh.py locks generated workflows`.

Exits 1 and names each file that differs, with the command that mends it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

BY_HAND = {"torch.txt"}
"""Locks that name wheels of PyTorch's own index."""
KFP = [str(ROOT / ".venv-kfp/bin/python"), str(ROOT / "pipelines/release_kfp.py"), "compile"]
GENERATED: dict[str, list[str]] = {
    "environments/schema.json": ["nexus", "schema"],
    "gitops/record.schema.json": ["nexus", "schema", "--of", "record"],
    **{
        f"docs/reference/{name}.md": ["python", str(ROOT / "ops/reference/write_page.py"), name]
        for name in ("http", "environment", "record")
    },
    "docs/reference/object-rules.md": ["nexus", "policy", "--rules"],
    **{
        f"ops/prometheus/rules/{name}.yaml": ["nexus", "rules", name]
        for name in ("gateway", "slo", "canary", "engines", "costs", "logs")
    },
    "docs/reference/alerts.md": ["nexus", "rules", "--page"],
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
    "docs/reference/cli.md": ["python", str(ROOT / "ops/write_cli_reference.py")],
    "ops/kibana/saved_objects.ndjson": ["python", str(ROOT / "ops/kibana/saved_objects.py")],
    **{
        f"ops/elasticsearch/{name}.template.json": ["python", str(ROOT / "ops/elasticsearch/index_templates.py"), name]
        for name in ("gateway-logs", "gateway-audit", "gateway-unparsed")
    },
    "pipelines/release_kfp.yaml": KFP,
    "pipelines/release_kfp_kubernetes.yaml": [*KFP, "--kubernetes"],
}
WRITTEN = {
    "ops/generate_contract.py": "serving/contracts",
    "ops/write_dashboards.py": "ops/grafana/dashboards",
}
"""Script -> the folder that it writes."""


def locks() -> list[str]:
    """A lock is fresh where compiling with its own pins as preferences, as `make lock` does, gives it back."""
    return [
        path for path, command in _commands().items() if _compiled(path, command) != _pins((ROOT / path).read_text())
    ]


def _commands() -> dict[str, list[str]]:
    """Lock -> what compiles it, without its `-o`."""
    quiet = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "lock"],
        env=quiet,
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    commands = [shlex.split(line) for line in told.splitlines() if " pip compile " in line]
    made = {Path(command[-1]).name for command in commands}
    if unmade := {path.name for path in (ROOT / "requirements").glob("*.txt")} - made - BY_HAND:
        raise RuntimeError(f"`make lock` does not make {', '.join(sorted(unmade))}")
    return {command[-1]: command[:-2] for command in commands}


def generated() -> list[str]:
    return [*(path for script, place in WRITTEN.items() for path in _written(script, place)), *_printed()]


def _written(script: str, place: str) -> list[str]:
    """Those files of `place` that are not as the script writes them anew."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, ROOT / script, folder], check=True)
        made = sorted(path for path in Path(folder).rglob("*.*") if path.is_file())
        theirs = {ROOT / place / path.relative_to(folder): path for path in made}
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


def _compiled(path: str, command: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "lock.txt"
        shutil.copyfile(ROOT / path, copy)
        subprocess.run([*command, "-o", copy], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return _pins(copy.read_text())


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
