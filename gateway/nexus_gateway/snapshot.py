"""The configuration that a request sees: one immutable snapshot, loaded whole or not at all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.fingerprint import print_of, yaml_files
from nexus_gateway.garbage_collection import set_aside
from nexus_gateway.joined import join
from nexus_gateway.routes import Addresses, Endpoint, Table, compile_file, parse
from nexus_gateway.standing import Standing

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
    addresses: Callable[[], Addresses] = dict
    """Where the pods of headless Services are now."""


@dataclass(frozen=True)
class Snapshot:
    table: Table
    revision: str
    """SHA-256 of the bytes that were loaded."""
    resolve: Mapping[str, str]
    loaded: float
    """Unix time."""
    files: Mapping[str, bytes]
    tables: Mapping[str, Table] = field(repr=False)
    """By name; what has not changed is not parsed again: of 10,000 files that would take seconds."""
    addresses: Addresses = field(default_factory=dict)
    """Of the pods of headless Services, when it was built."""

    @cached_property
    def standing(self) -> Standing:
        return Standing(self.table)


def resolved(snapshot: Snapshot, endpoint: Endpoint) -> Mapping[str, str]:
    """Where to connect for an endpoint instead of its URL, as `PoolTransport` takes it."""
    if not endpoint.address:
        return snapshot.resolve
    parts = urlsplit(endpoint.url)
    return {f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}": endpoint.address}


def load(source: Source, before: Snapshot | None = None) -> Snapshot:
    """Raises ConfigRefused. `before` is what was loaded last from the same source."""
    files, resolve = read_files(source.routes), read_resolve(source.resolve)
    addresses = {**source.addresses(), **read_services(source.resolve)}
    return build(files, resolve, source.first_byte_seconds, source.environ, before, addresses)


def build(
    files: Mapping[str, bytes],
    resolve: Mapping[str, str],
    first_byte_seconds: float,
    environ: Mapping[str, str] | None = None,
    before: Snapshot | None = None,
    addresses: Addresses = MappingProxyType({}),
) -> Snapshot:
    """Raises ConfigRefused."""

    def of_file(name: str) -> Table:
        if before is not None and before.files.get(name) == files[name] and not moved(before.tables[name], before):
            return before.tables[name]
        return compile_file(name, parse(name, files[name]), first_byte_seconds, environ, addresses)

    def moved(table: Table, since: Snapshot) -> bool:
        """Whether pods of its services have come or gone."""
        return addresses != since.addresses and any(
            addresses.get(one.service) != since.addresses.get(one.service) for one in table.upstreams.values()
        )

    with set_aside(len(files)):
        tables = {name: of_file(name) for name in sorted(files)}
        return Snapshot(join(tables.items()), revision(files), resolve, time.time(), files, tables, addresses)


def parts(snapshot: Snapshot) -> list[object]:
    """What it is made of, for who wants it freed bit by bit; requests under way may hold it longer."""
    table = snapshot.table
    return [*snapshot.files.values(), *snapshot.tables.values(), *table.routes.values(), *table.upstreams.values()]


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
        if not path.exists():
            raise ConfigRefused(f"{path}: no such file or folder; name a route file, or a folder of them")
        files = {name: Path(place).read_bytes() for name, place in yaml_files(path)}
    except OSError as error:
        raise ConfigRefused(f"{path}: {error.strerror}") from None
    if sum(map(len, files.values())) > LARGEST:
        raise ConfigRefused(f"{path}: larger than {LARGEST} bytes")
    return files


def read_resolve(path: Path | None) -> dict[str, str]:
    """Where to connect instead, by `host:port`. Raises ConfigRefused."""
    return {key: value for key, value in _resolved(path) if isinstance(value, str)}


def read_services(path: Path | None) -> Addresses:
    """The same of the Services that have several pods, by their URL. Raises ConfigRefused."""
    several = [(key, tuple(value)) for key, value in _resolved(path) if not isinstance(value, str)]
    return {f"{scheme}://{key}": pods for key, pods in several for scheme in ("http", "https", "grpc", "grpcs")}


def _resolved(path: Path | None) -> list[tuple[str, str | list[str]]]:
    if path is None:
        return []
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{path}: {error}") from None
    pairs = table.items() if isinstance(table, dict) else [(None, None)]
    for key, value in pairs:
        texts = (key, *(value if isinstance(value, list) and value else [value]))
        if not all(isinstance(text, str) and text.rpartition(":")[2].isdigit() for text in texts):
            raise ConfigRefused(f'{path}: {key!r}: {value!r}: write "host:port": "address:port", or a list of such')
    return list(pairs)


def fingerprint(source: Source) -> tuple[object, ...]:
    """Changes whenever what the paths or the names of Services lead to changes."""
    addresses = tuple(sorted(source.addresses().items()))
    return (print_of(source.routes), print_of(source.resolve) if source.resolve else None, addresses)
