"""What a machine must have before anything of Nexus runs on it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_release.doctor.finding import Finding, absent, fail, ok, warn

PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest that may run it."""
PROGRAMS = {
    "git": "every change is a commit",
    "make": "targets of the Makefile",
}
"""Program -> what it is for. Their absence is a fault."""
TOOLS = {
    "kubectl": "manifests, and their checks",
    "kustomize": "the same; kubectl has one too",
    "docker": "`make compose`, `make kind`, `make images`",
    "node": "clients on Node",
    "npm": "the same",
    "redis-server": "tests of limits that replicas share",
    "prometheus": "tests of rules and dashboards",
    "promtool": "the same",
    "shellcheck": "`make scripts`",
    "nvidia-smi": "a GPU for vLLM and SGLang",
}
"""Program -> what it is for. Whoever does without that needs none of them."""
NEEDED_BYTES, ENOUGH_BYTES = 1 << 30, 5 << 30
"""Of the disk that has the state: `make demo` writes about one GiB there, its environment takes three more."""
ENOUGH_MEMORY = 3 << 30
"""Bytes: registry, gateway and an engine together, while a small model is trained."""
_VERSION_SECONDS = 20.0  # for a program to say its own


@dataclass(frozen=True)
class Machine:
    """As it was seen."""

    python: tuple[int, int]
    programs: Mapping[str, str]
    """Program -> its version, or where it is; those that are missing are left out."""
    folder: Path
    """Where the state is, or will be."""
    writable: bool
    free_bytes: int
    memory_bytes: int | None
    """That may still be used; None where the machine does not say."""
    taken: Mapping[str, int]
    """Who would listen there -> a port that somebody has taken who is not ours."""
    wanted: Mapping[str, int]
    """Who listens there by default -> the port."""


def seen_here(folder: Path, wanted: Mapping[str, int], *, ours: bool) -> Machine:
    """`ours`: what `nexus up` has started runs here, and the ports are its own."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    told = {name: _version(name) for name in PROGRAMS}
    found = told | {name: shutil.which(name) or "" for name in TOOLS}
    return Machine(
        python=sys.version_info[:2],
        programs={name: said for name, said in found.items() if said},
        folder=folder,
        writable=place.is_dir() and os.access(place, os.W_OK),
        free_bytes=shutil.disk_usage(place).free,
        memory_bytes=_memory(Path("/proc/meminfo")),
        taken={} if ours else {who: port for who, port in wanted.items() if _listens(port)},
        wanted=wanted,
    )


def machine(seen: Machine) -> Iterator[Finding]:
    yield _python(seen.python)
    for name, purpose in PROGRAMS.items():
        version = seen.programs.get(name)
        mend = f"apt-get install {name}, or your system's package of it"
        yield ok(name, version) if version else fail(name, f"there is none on PATH; it is for: {purpose}", mend)
    yield _disk(seen)
    yield _memory_left(seen.memory_bytes)
    for who, port in seen.wanted.items():
        name = f"port {port}"
        if who in seen.taken:
            mend = f"end it (`ss -ltnp 'sport = :{port}'` names it), or take the address that `nexus up` prints"
            yield warn(name, f"somebody else listens there; the {who} takes another one", mend)
        else:
            yield ok(name, f"free for the {who}, or its own")
    for name, purpose in TOOLS.items():
        where = seen.programs.get(name)
        yield ok(name, where) if where else absent(name, f"only for: {purpose}", _mend_of(name))


def _python(version: tuple[int, int]) -> Finding:
    oldest, newest = PYTHONS
    shown = ".".join(map(str, version))
    if oldest <= version <= newest:
        return ok("Python", shown)
    return fail("Python", f"{shown} runs this, and it is made for 3.11 to 3.13", "make clean setup PYTHON=python3.12")


def _disk(seen: Machine) -> Finding:
    left = f"{_gibibytes(seen.free_bytes)} are left for {seen.folder}"
    if not seen.writable:
        return fail(
            "disk", f"{seen.folder} is no folder that may be written", "name a folder that may be by NEXUS_STATE"
        )
    if seen.free_bytes < NEEDED_BYTES:
        return fail("disk", left, "free some room, or name a folder on another disk by NEXUS_STATE")
    if seen.free_bytes < ENOUGH_BYTES:
        return warn("disk", left, f"free some room: {_gibibytes(ENOUGH_BYTES)} are enough for `make demo`")
    return ok("disk", left)


def _memory_left(left: int | None) -> Finding:
    if left is None:
        return absent("memory", "this system does not say by /proc/meminfo how much is left")
    if left < ENOUGH_MEMORY:
        mend = f"end something: `make demo` wants {_gibibytes(ENOUGH_MEMORY)}; ENGINE=vllm and tests more"
        return warn("memory", f"{_gibibytes(left)} are left", mend)
    return ok("memory", f"{_gibibytes(left)} are left")


def _mend_of(tool: str) -> str:
    if tool == "nvidia-smi":
        return "none is needed here: without a GPU our own worker answers, or `make up ENGINE=vllm` on the CPU"
    return "`make services` installs it (Debian, root)"


def _version(program: str) -> str:
    """Its first line; empty where it is missing or does not start."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0] if done.returncode == 0 else ""


def _memory(file: Path) -> int | None:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    kibibytes = said.get("MemAvailable", "").removesuffix("kB").strip()
    return int(kibibytes) * 1024 if kibibytes.isdigit() else None


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        asking.settimeout(1.0)
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _gibibytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
