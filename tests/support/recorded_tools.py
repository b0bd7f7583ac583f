"""Programs in whose place a test puts stubs: each writes down how it was called, and answers as the real one would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_HEAD = """#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >>"$RECORD/calls"
"""
_TOOLS = {
    "docker": """
case "$*" in
    "container inspect"*) test -e "$RECORD/registry" || exit 1; echo true ;;
    run\\ *) touch "$RECORD/registry" ;;
    "rm "*) rm -f "$RECORD/registry" "$RECORD/connected" ;;
    "image inspect"*) for last; do :; done; printf '%s@sha256:%064d\\n' "${last%:*}" 7 ;;
    "network inspect"*Subnet*) printf 'fc00:f853:ccd::/64\\n172.19.0.0/16\\n' ;;
    "network inspect"*) test -e "$RECORD/connected" && echo nexus-registry ;;
    "network connect"*) touch "$RECORD/connected" ;;
    exec\\ --interactive*) cat >/dev/null ;;
esac
""",
    "kind": """
case "$*" in
    version) echo kind v0.32.0 go1.26 linux/amd64 ;;
    "get clusters") test ! -e "$RECORD/cluster" || echo nexus ;;
    "get nodes"*) printf 'nexus-control-plane\\nnexus-worker\\n' ;;
    "create cluster"*) touch "$RECORD/cluster" ;;
    "delete cluster"*) rm -f "$RECORD/cluster" ;;
esac
""",
    "kubectl": """
case "$*" in
    *" get namespace "*) for last; do :; done; test -e "$RECORD/namespace-$last"; exit ;;
    *" create namespace "*) for last; do :; done; touch "$RECORD/namespace-$last" ;;
    *" kustomize "*) for last; do :; done; shift $(($# - 1)); "$REAL_KUBECTL" kustomize "$last" ;;
    *--dry-run=client*) echo 'kind: made up' ;;
    *"--output name"*) echo workflow.argoproj.io/nexus-release-x2k9p ;;
esac
case "$*" in *"-f -"*) cat >"$RECORD/applied-$(wc -l <"$RECORD/calls")" ;; esac
""",
    "curl": """
file='' address=''
for word; do
    case $before in --output) file=$word ;; esac
    case $word in https://*) address=$word ;; esac
    before=$word
done
if [ -n "$file" ] && [ "$file" != /dev/null ]; then printf 'manifest of %s%s\\n' "$address" "${CHANGED:-}" >"$file"; fi
""",
    "fake-python": """
case "$*" in
    *corpus*) for last; do :; done; mkdir -p "$(dirname "$last")"; echo '{}' >"$last" ;;
    *"compile --kubernetes"*) cat pipelines/release_kfp_kubernetes.yaml ;;
esac
""",
}


class RecordedTools:
    """A folder for PATH, and what was called."""

    def __init__(self, folder: Path, kubectl: str) -> None:
        self.record = folder / "record"
        self.bin = folder / "bin"
        self._kubectl = kubectl
        for path in (self.record, self.bin):
            path.mkdir()
        for name, body in _TOOLS.items():
            program = self.bin / name
            program.write_text(_HEAD + body)
            program.chmod(0o755)

    def run(self, script: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        told: Mapping[str, str] = {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "RECORD": str(self.record),
            "REAL_KUBECTL": self._kubectl,
            **variables,
        }
        return subprocess.run(["sh", script], capture_output=True, text=True, env=told)

    def calls(self) -> list[str]:
        """Each call in its order, as `program words`; what was called before is forgotten."""
        file = self.record / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.write_text("")
        return lines
