"""A database of MLflow as one file: a SQLite file by SQLite's own online backup, Postgres by `pg_dump`.

Both give one moment while others write. Passwords go by the environment of the program, never on its command line.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_release.adapters.server_urls import server_url
from nexus_release.backup.manifest import PartName, Saved
from nexus_release.backup.taking import Fetch, Part
from nexus_release.backup.vault import Vault
from nexus_release.errors import BadInput, DigestMismatch, NexusError, Unreachable
from nexus_release.terminal import plain_line

_SECONDS = 3600.0  # for one program
_SHOWN = 300  # characters of what it said
_POSTGRES = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_BESIDE = ("", "-wal", "-journal")  # what SQLite would play back into a file that is put beside it


def database_part(name: PartName, uri: str) -> Part:
    """By SQLAlchemy's URI, as MLflow has it in --backend-store-uri. Raises BadInput."""
    if uri.startswith("sqlite:///"):
        return SqlitePart(name, Path(uri.removeprefix("sqlite:///")))
    if urlsplit(uri).scheme.partition("+")[0] in ("postgresql", "postgres"):
        return PostgresPart(name, uri)
    raise BadInput(name, uri.partition("://")[0], f"give sqlite:///PATH or {_POSTGRES}")


class SqlitePart:
    def __init__(self, name: PartName, file: Path) -> None:
        self.name, self._file = name, file.absolute()
        self.place = str(self._file)

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        if not self._file.is_file():
            raise BadInput(self.name, self.place, "no such database; name the file that the server has")
        with tempfile.TemporaryDirectory(prefix="nexus-dump-") as folder:
            copy = Path(folder) / "dump.sqlite"
            with (
                closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            _proved(copy)
            yield vault.keep(copy, "dump.sqlite")

    def occupied(self) -> str:
        files = (self._file.with_name(self._file.name + end) for end in _BESIDE)
        there = [file.name for file in files if file.exists() and file.stat().st_size]
        return f"{', '.join(there)} is there" if there else ""

    @contextmanager
    def staged(self, files: Sequence[Saved], fetch: Fetch) -> Iterator[Callable[[], None]]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".nexus-restoring-", dir=self._file.parent) as folder:
            copy = Path(folder) / "dump.sqlite"
            for saved in files:
                fetch(saved, Path(folder) / saved.path)
            _proved(copy)

            def put() -> None:
                copy.replace(self._file)

            yield put


class PostgresPart:
    """Roles and rights of the server are no part of it: what is restored belongs to whom the URI names."""

    def __init__(self, name: PartName, uri: str) -> None:
        parts = server_url(name, uri, _POSTGRES)
        if parts.query:
            raise BadInput(
                name, "what follows ? in its URL", "give it by libpq's variables instead, as PGSSLMODE=require"
            )
        self.name = name
        self._connection = {
            "PGHOST": parts.hostname or "127.0.0.1",
            "PGPORT": str(parts.port or 5432),
            "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": parts.path.lstrip("/"),
        }
        self.place = f"postgresql://{self._connection['PGHOST']}:{self._connection['PGPORT']}{parts.path}"

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        with tempfile.TemporaryDirectory(prefix="nexus-dump-") as folder:
            dump = Path(folder) / "dump.pg"
            self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}")
            yield vault.keep(dump, "dump.pg")

    def occupied(self) -> str:
        count = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        tables = int(self._run("psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={count}"))
        return f"it has {tables} tables" if tables else ""

    @contextmanager
    def staged(self, files: Sequence[Saved], fetch: Fetch) -> Iterator[Callable[[], None]]:
        with tempfile.TemporaryDirectory(prefix="nexus-restoring-") as folder:
            for saved in files:
                fetch(saved, Path(folder) / saved.path)

            def put() -> None:
                """In one transaction: all of it, or none."""
                database = self._connection["PGDATABASE"]
                options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
                self._run("pg_restore", *options, f"--dbname={database}", str(Path(folder) / "dump.pg"))

            yield put

    def _run(self, program: str, *words: str) -> str:
        environment = {**os.environ, **{name: value for name, value in self._connection.items() if value}}
        return _run(_program(program), words, environment, self.place)


def _proved(copy: Path) -> None:
    """Raises DigestMismatch for a file that SQLite finds broken."""
    try:
        with closing(sqlite3.connect(copy)) as database:
            (found,) = database.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise DigestMismatch(str(copy), "a database without fault", plain_line(str(found))[:_SHOWN])


def _run(program: str, words: Sequence[str], environment: Mapping[str, str], place: str) -> str:
    try:
        done = subprocess.run(
            [program, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{place}: {Path(program).name} has not ended within {_SECONDS:g} s") from None
    if done.returncode:
        said = plain_line(done.stderr.strip()[-_SHOWN:])
        kind = Unreachable if "connection to server" in done.stderr else NexusError
        raise kind(f"{place}: {Path(program).name}: {said}")
    return done.stdout.strip()


def _program(name: str) -> str:
    """On PATH, or where Debian puts those of the newest version."""
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(there[-1]) if there else None)
    if found is None:
        raise NexusError(f"{name} is not here: install PostgreSQL's client programs, as new as the server")
    return found
