"""A `nexus` that dies as dying_nexus.py says, forked from a process that has imported what a release needs.

Each process of its own would take seconds for that, and an engine starts thirty.

    python -m tests.chaos.forked_nexus NUMBER     serves forked_client.py at this open socket until its input ends

Whoever is forked has the caller's arguments, variables, folder and files, and ends as it says: by status or by signal.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path

from . import dying_nexus
from .release import import_what_a_release_needs

_MOST_BYTES = 1 << 20  # arguments and variables


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        import_what_a_release_needs()  # whoever comes meanwhile waits
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for whoever serves a caller
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _serve(caller)
            caller.close()


def _serve(caller: socket.socket) -> None:
    """Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, files, _, _ = socket.recv_fds(caller, _MOST_BYTES, 3)
    while not asked.endswith(b"\n"):
        asked += caller.recv(_MOST_BYTES)
    child = os.fork()
    if child == 0:
        caller.close()
        _become(json.loads(asked), files)
    for file in files:
        os.close(file)
    _, status = os.waitpid(child, 0)
    caller.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(asked: dict[str, object], files: list[int]) -> None:
    """Never returns."""
    status = 70  # a fault of this harness
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.environ.clear()
        os.environ.update(asked["variables"])  # type: ignore[call-overload]  # JSON of forked_client.py
        os.chdir(Path(str(asked["folder"])))
        tempfile.tempdir = None  # TMPDIR is the caller's
        sys.argv = ["nexus", *asked["arguments"]]  # type: ignore[misc]  # the same
        dying_nexus.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        sys.stderr.write(f"not caught: {error!r}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
