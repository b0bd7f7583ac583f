"""Where a Redis is: one by its URL, or the one that leads now, as Sentinels say.

`redis+sentinel://:password@host:26379,host:26379/name/0`: the password is for Sentinels and Redis alike, `name` is the
group's. Who leads is asked anew with each new connection, and a leader that has become a follower is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

_SCHEME = "redis+sentinel"
_PORT = 26379
_SENTINEL_SECONDS = 0.5  # of each that is asked; one that is down costs no more


@dataclass(frozen=True)
class Group:
    sentinels: tuple[tuple[str, int], ...]
    name: str
    database: int
    password: str | None = field(repr=False)


def redis_at(url: str, *, single: bool = False, **options: Any) -> Redis:
    """A client that has not connected; `single` keeps to one connection, where it is one Redis. Raises ValueError for a
    URL that is none."""
    if not url.startswith(f"{_SCHEME}:"):
        return Redis.from_url(url, single_connection_client=single, **options)
    group = read_group(url)
    asked = {"socket_timeout": _SENTINEL_SECONDS, "socket_connect_timeout": _SENTINEL_SECONDS, "retry": None}
    sentinel = Sentinel(group.sentinels, sentinel_kwargs={**asked, "password": group.password})  # type: ignore[no-untyped-call]  # redis leaves it untyped
    options |= {"password": group.password, "db": group.database}
    pool = SentinelConnectionPool(group.name, sentinel, **options)  # type: ignore[no-untyped-call]  # as above
    # Never one connection for good: redis-py brings it back to the address that it had, whoever leads by now.
    return Redis(connection_pool=pool)


def read_group(url: str) -> Group:
    """Raises ValueError whose words hold no password."""
    parts = urlsplit(url)
    credential, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not (hosts and name and (database or "0").isdigit()):
        raise ValueError(f"write {_SCHEME}://:password@host:{_PORT},host:{_PORT}/name/0")
    password = unquote(credential.partition(":")[2]) or None
    return Group(tuple(_place(host) for host in hosts.split(",")), name, int(database or 0), password)


def _place(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    if not name or not (port or "0").isdigit():
        raise ValueError(f"a Sentinel is host:port, and {host!r} is not")
    return name, int(port or _PORT)
