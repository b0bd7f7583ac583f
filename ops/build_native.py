"""Builds `gateway/native` into FOLDER and installs it into environments: `build_native.py FOLDER ENVIRONMENT...`.

Where it cannot be built one line says why, what that costs and how to get it, and make goes on; what an earlier build
has left is taken away, since it is older than the Python that calls it. A compiler that is there and fails stops make.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "gateway" / "native"
LOCK = ROOT / "requirements" / "native.txt"
UV = Path(sys.executable).parent / "uv"
PROBE = "#include <Python.h>\n#include <sys/epoll.h>\n"
LEFT_OUT = """\
==> the gateway's compiled part is left out: {}. The gateway does the same in Python, and needs more CPU. \
To get it (Debian): apt-get install gcc python3-dev, then make again"""


def main(folder: Path, environments: list[Path]) -> None:
    there = [one for one in environments if (one / "bin" / "python").exists()]
    shutil.rmtree(folder, ignore_errors=True)
    missing = what_is_missing()
    if missing:
        print(LEFT_OUT.format(missing))
        for environment in there:
            uv("pip", "uninstall", "--python", environment, "nexus-native")
        return
    print("==> the gateway's compiled part")
    wheel = build(folder)
    for environment in there:
        uv("pip", "install", "--no-deps", "--reinstall", "--python", environment, wheel)


def what_is_missing() -> str:
    """Of what the build needs, or nothing."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if sys.platform != "linux":
        return f"it is for Linux alone, and this is {sys.platform}"
    if shutil.which(compiler[0]) is None:
        return f"there is no {compiler[0]} here"
    include = sysconfig.get_path("include")
    tried = [*compiler, "-fsyntax-only", f"-I{include}", "-x", "c", "-"]
    done = subprocess.run(tried, input=PROBE, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    told = [line.partition("error: ")[2] for line in done.stderr.splitlines() if "error: " in line]
    return told[0] if told else f"{compiler[0]} does not work here"


def build(folder: Path) -> Path:
    """By the tools that the lock names by hash. The sources are copied, since setuptools writes beside them."""
    with tempfile.TemporaryDirectory(prefix="nexus-native-") as work:
        copy = Path(work) / SOURCE.name
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*.so"))
        by_hash = ("--build-constraints", LOCK, "--require-hashes", "--python", sys.executable)
        uv("build", "--wheel", *by_hash, "--out-dir", folder, copy)
    (wheel,) = folder.glob("*.whl")
    return wheel


def uv(*words: str | Path) -> None:
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}  # it trusts what the machine trusts, as make has it
    if environment.get("CI"):
        environment["CFLAGS"] = "-Werror"  # elsewhere a newer compiler may warn of more
    done = subprocess.run([UV, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:  # by --quiet it would not say what the compiler has said
        sys.exit(done.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
