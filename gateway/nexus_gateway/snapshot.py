"""The configuration that a request sees: one immutable snapshot, loaded whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.routes import Table, compile_routes, parse
from nexus_gateway.routes_file import RoutesFile

LARGEST = 16 << 20
"""Bytes of all route files together."""


@dataclass(frozen=True)
class Source:
    """Where configuration comes from."""

    routes: Path
    """A file, or a folder of `<name>.yaml`."""
    resolve: Path | None
    """`{"host:port": "address:port"}`, as curl's --resolve; for a laptop."""
    first_byte_seconds: float
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    """Holds the upstreams' credentials; None where configuration is only looked at."""


@dataclass(frozen=True)
class Snapshot:
    table: Table
    revision: str
    """SHA-256 of the bytes that were loaded."""
    resolve: Mapping[str, str]
    loaded: float
    """Unix time."""
    files: Mapping[str, bytes]
    parsed: Mapping[str, RoutesFile] = field(repr=False)
    """By name; what has not changed is not parsed again: of 10,000 files that would take seconds."""


def load(source: Source, before: Snapshot | None = None) -> Snapshot:
    """Raises ConfigRefused. `before` is what was loaded last."""
    files, resolve = read_files(source.routes), read_resolve(source.resolve)
    return build(files, resolve, source.first_byte_seconds, source.environ, before)


def build(
    files: Mapping[str, bytes],
    resolve: Mapping[str, str],
    first_byte_seconds: float,
    environ: Mapping[str, str] | None = None,
    before: Snapshot | None = None,
) -> Snapshot:
    """Raises ConfigRefused."""
    parsed = {name: _parsed(name, files[name], before) for name in sorted(files)}
    table = compile_routes(parsed.items(), first_byte_seconds, environ)
    return Snapshot(table, revision(files), resolve, time.time(), files, parsed)


def _parsed(name: str, data: bytes, before: Snapshot | None) -> RoutesFile:
    if before is not None and before.files.get(name) == data:
        return before.parsed[name]
    return parse(name, data)


def revision(files: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over, for each file sorted by name: its name in UTF-8, NUL, its length in decimal, NUL, its bytes.

    Whoever renders route files computes the same, and so finds the commit that a revision came from.
    """
    hasher = hashlib.sha256()
    for name in sorted(files):
        hasher.update(b"%s\0%d\0" % (name.encode(), len(files[name])))
        hasher.update(files[name])
    return hasher.hexdigest()


def read_files(path: Path) -> dict[str, bytes]:
    """Base name -> bytes. Raises ConfigRefused."""
    try:
        names = [path] if path.is_file() else sorted(path.glob("*.yaml"))
        if not names and not path.is_dir():
            raise ConfigRefused(f"{path}: no such file or folder")
        files = {name.name: name.read_bytes() for name in names}
    except OSError as error:
        raise ConfigRefused(f"{path}: {error.strerror}") from None
    if sum(map(len, files.values())) > LARGEST:
        raise ConfigRefused(f"{path}: larger than {LARGEST} bytes")
    return files


def read_resolve(path: Path | None) -> dict[str, str]:
    """Raises ConfigRefused."""
    if path is None:
        return {}
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{path}: {error}") from None
    pairs = table.items() if isinstance(table, dict) else [(None, None)]
    for key, value in pairs:
        if not all(isinstance(text, str) and text.rpartition(":")[2].isdigit() for text in (key, value)):
            raise ConfigRefused(f'{path}: {key!r}: {value!r}: write "host:port": "address:port"')
    return dict(pairs)


def fingerprint(source: Source) -> tuple[object, ...]:
    """Changes whenever what the paths lead to changes: the files behind links, as a kubelet swaps them, count."""
    return (_print_of(source.routes), _print_of(source.resolve) if source.resolve else None)


def _print_of(path: Path) -> object:
    try:
        real = path.resolve(strict=True)
        names = sorted(real.glob("*.yaml")) if real.is_dir() else [real]
        stats = [(name.name, name.stat()) for name in names]
    except OSError as error:
        return error.errno
    return (str(real), [(name, s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats])
