"""Where a Redis is: one by its URL, or the one that leads now, as Sentinels say.

`redis+sentinel://:password@host:26379,host:26379/name/0`: the password is for Sentinels and Redis alike, `name` is the
group's. Who leads is asked anew with each new connection, and a leader that has become a follower is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError

_SCHEME = "redis+sentinel"
_PORT = 26379
_SENTINEL_SECONDS = 0.5  # of each that is asked


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
    sentinels = _Sentinels(group.sentinels, {**asked, "password": group.password})
    options |= {"password": group.password, "db": group.database}
    pool = SentinelConnectionPool(group.name, sentinels, **options)  # type: ignore[no-untyped-call]  # as below
    # Never one connection for good: redis-py brings it back to the address that it had, whoever leads by now.
    return Redis(connection_pool=pool)


class _Sentinels:
    """Asks all of them at once, where redis-py asks one after the other: one that is silent would take up the whole
    time of a request, and of each one after it."""

    def __init__(self, places: tuple[tuple[str, int], ...], options: Mapping[str, Any]) -> None:
        self._each = [Sentinel([place], sentinel_kwargs={**options}) for place in places]  # type: ignore[no-untyped-call]  # redis leaves it untyped

    async def discover_master(self, name: str) -> tuple[str, int]:
        """As the first says that knows. Raises why the last of them does not."""
        asked = [asyncio.ensure_future(one.discover_master(name)) for one in self._each]
        fault: RedisError = MasterNotFoundError(name)
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    place: tuple[str, int] = await answer
                except RedisError as error:
                    fault = error
                else:
                    return place
            raise fault
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


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
