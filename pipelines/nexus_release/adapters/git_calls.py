"""Runs the plain `git` program: argument lists only, nothing of the user's own configuration, never without a limit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from nexus_release.errors import NexusError, Unreachable

SECONDS = 120.0
"""Limit of one call. A clone of a repository of manifests takes a second."""

MAIN = "refs/heads/main"
NAME, EMAIL = "Nexus", "nexus@localhost"

_WORDS = 500  # characters of what git or the remote said that an error repeats
_CREDENTIALS = frozenset(
    {"GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY"}
)
"""How this process is let in and knows the remote. Every other GIT_* variable is the caller's own business."""

_FIXED = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
    "GIT_OPTIONAL_LOCKS": "0",  # `status` would refresh the checkout's index
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "LC_ALL": "C",
}
_OPTIONS = (
    ("safe.directory", "*"),  # in a container the checkout often has another owner
    ("core.hooksPath", os.devnull),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),  # it would go on in the background while the clone is removed
)


class GitError(NexusError):
    """One call of git that ended badly; `output` is all that it said."""

    def __init__(self, words: Sequence[str], output: str) -> None:
        super().__init__(f"git {words[0]}: {shown(output)}")
        self.output = output


def git(
    *words: str, cwd: Path | None = None, stdin: str = "", index: Path | None = None, seconds: float = SECONDS
) -> str:
    """What git wrote to its standard output. `index` is an index file other than the repository's.

    Raises GitError, or Unreachable when the time is up; git and what it has started are then ended.
    """
    extra = {"GIT_INDEX_FILE": str(index)} if index else {}
    process = subprocess.Popen(
        command(words),
        cwd=cwd,
        env=environment() | extra,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # without a terminal ssh cannot ask; with a group of its own all of it can be ended
    )
    with process:
        try:
            out, err = process.communicate(stdin.encode(), timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Unreachable(f"git {words[0]}: no answer within {seconds:g} s") from None
            raise
    if process.returncode:
        raise GitError(words, (err + b"\n" + out).decode(errors="replace"))
    return out.decode(errors="replace")


def command(words: Sequence[str]) -> list[str]:
    return ["git", *(part for name, value in _OPTIONS for part in ("-c", f"{name}={value}")), *words]


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_") or name in _CREDENTIALS}
    return {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **kept, **_FIXED}


def shown(output: str) -> str:
    """The end of what git or a remote said, on one line and without control characters."""
    lines = (re.sub(r"[^\x20-\x7e\xa0-\uffff]+", " ", line).strip() for line in output.splitlines())
    return "; ".join(line for line in lines if line)[-_WORDS:]


def written(clone: Path, commit: str, into: Path) -> Path:
    """Writes the files of `commit` into the empty folder `into`, as a checkout would, and returns it."""
    index, work = clone / ".git" / "written", ("--work-tree", str(into.absolute()))
    git(*work, "read-tree", commit, cwd=clone, index=index)
    git(*work, "checkout-index", "--all", "--quiet", cwd=clone, index=index)
    return into
