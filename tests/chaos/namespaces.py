"""A network and mounts of one's own, for a command that drops packets and fills disks: nothing else sees them, and they
end with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_OUTSIDE = "NEXUS_CHAOS_OUTSIDE"
"""The network that the command was started in, as the kernel names it."""
_NETWORK = Path("/proc/self/ns/net")
_UNSHARE = ["unshare", "--net", "--mount"]
_PROBE = "ip link set lo up && iptables -S INPUT && iptables -A INPUT -p tcp -m statistic --mode random \
--probability 0.5 -j DROP && mount -t tmpfs -o size=64k none /mnt"


def inside() -> bool:
    """Whether this is another network than the machine's, whose packets are nobody's business here."""
    outside = os.environ.get(_OUTSIDE, "")
    return outside.startswith("net:[") and str(_NETWORK.readlink()) != outside


def why_not() -> str:
    """Why this machine has none to give; empty where it has."""
    for program in ("unshare", "ip", "iptables", "mount"):
        if shutil.which(program) is None:
            return f"{program} is not here"
    tried = subprocess.run([*_unshare(), "sh", "-c", _PROBE], capture_output=True, text=True)
    said = tried.stderr.strip().splitlines()
    return "" if tried.returncode == 0 else (said[-1] if said else f"unshare ended with {tried.returncode}")


def enter(module: str) -> None:
    """Begins `python -m module` anew with the same words, in a network that has nothing but its own loopback. Never
    returns."""
    again = [sys.executable, "-m", module, *sys.argv[1:]]
    words = [*_unshare(), "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *again]
    os.execvpe(words[0], words, {**os.environ, _OUTSIDE: str(_NETWORK.readlink())})  # noqa: S606 - the same command, without a shell


def _unshare() -> list[str]:
    """Who is not root is, within."""
    return _UNSHARE if os.geteuid() == 0 else [*_UNSHARE, "--user", "--map-root-user"]
