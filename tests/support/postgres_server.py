"""A real Postgres on a loopback port, by a user who is not root: it refuses to run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_release.local.free_ports import free_port

from .gateway import until

_ACCOUNT = "postgres"  # Debian's package makes it


@contextmanager
def postgres(user: str, password: str, database: str) -> Iterator[int]:
    """Its port. A skip where there is no Postgres, a failure where CI must have it."""
    folder = Path(tempfile.mkdtemp(prefix="nexus-postgres-"))
    (folder / "password").write_text(password)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, _ACCOUNT, _ACCOUNT)
    data, port = folder / "data", free_port()
    try:
        _run("initdb", f"--pgdata={data}", f"--username={user}", f"--pwfile={folder / 'password'}",
             "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C")  # fmt: skip
        command = [_program("postgres"), "-D", str(data), "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*command, "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"],
                stdout=log, stderr=log, cwd=folder, **_account(),
            )  # fmt: skip
        try:
            until(lambda: _answers(port, user, password) or server.poll() is not None, "Postgres answers", 60)
            assert server.poll() is None, (folder / "log").read_text()
            _statement(port, user, password, f'CREATE DATABASE "{database}"')
            yield port
        finally:
            server.terminate()  # waits for nobody's connection after the next signal
            server.send_signal(2)
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def _answers(port: int, user: str, password: str) -> bool:
    import psycopg

    try:
        _statement(port, user, password, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _statement(port: int, user: str, password: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(
        host="127.0.0.1", port=port, user=user, password=password, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(statement)  # type: ignore[call-overload,unused-ignore]  # its own type asks for a literal


def _run(*words: str) -> None:
    subprocess.run([_program(words[0]), *words[1:]], check=True, capture_output=True, cwd="/", **_account())


def _account() -> dict[str, Any]:
    return {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}


def _program(name: str) -> str:
    """On PATH, or where Debian puts those of the newest version."""
    there = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found = shutil.which(name) or (there[-1] if there else None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Postgres is not here: run `make services`")
    if found is None:
        pytest.skip("Postgres is not here (`make services` installs it)")
    return found
