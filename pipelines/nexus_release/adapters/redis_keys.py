"""What the gateway keeps in Redis: limits, idempotency records, and notes of who keeps a response.

By DUMP and RESTORE of each key, over the network, as any client may: an RDB file would have to be put into the server's
own folder while it is down, and brings other databases along. Each key stands for itself, so they need not be of one
moment. A key that ends while it is saved, or has ended when it is restored, is gone as it would have been.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_release.adapters.server_urls import server_url
from nexus_release.backup.manifest import PartName, Saved
from nexus_release.backup.taking import Fetch
from nexus_release.backup.vault import Vault
from nexus_release.errors import BadInput, Unreachable

if TYPE_CHECKING:
    import redis

_FILE = "keys.jsonl"
_BATCH = 500  # keys in one exchange
_SECONDS = 30.0  # for one answer


class RedisPart:
    name: PartName = "redis"

    def __init__(self, url: str) -> None:
        form = "redis://:PASSWORD@HOST:PORT/DATABASE, of a group its leader's"
        parts = server_url("redis", url, form)
        if parts.scheme not in ("redis", "rediss"):
            raise BadInput("redis", parts.scheme, f"give {form}")
        self._url, self.place = url, f"redis://{parts.hostname}:{parts.port or 6379}{parts.path}"

    def save(self, vault: Vault, before: Sequence[Saved], left_out: list[str]) -> Iterator[Saved]:
        with tempfile.TemporaryDirectory(prefix="nexus-redis-") as folder, self._asking() as client:
            file = Path(folder) / _FILE
            with file.open("w", encoding="ascii") as out:
                for line in _lines(client):
                    out.write(line)
            yield vault.keep(file, _FILE)

    def occupied(self) -> str:
        with self._asking() as client:
            there = client.dbsize()
        return f"it has {there} keys (FLUSHDB removes them)" if there else ""

    @contextmanager
    def staged(self, files: Sequence[Saved], fetch: Fetch) -> Iterator[Callable[[], None]]:
        with tempfile.TemporaryDirectory(prefix="nexus-restoring-") as folder:
            for saved in files:
                fetch(saved, Path(folder) / saved.path)

            def put() -> None:
                with self._asking() as client, (Path(folder) / _FILE).open(encoding="ascii") as lines:
                    now = _now(client)
                    for some in _batches(lines):
                        _restore(client, some, now)

            yield put

    @contextmanager
    def _asking(self) -> Iterator[redis.Redis]:
        import redis

        try:
            with redis.Redis.from_url(self._url, socket_timeout=_SECONDS) as client:
                yield client
        except redis.RedisError as error:
            raise Unreachable(f"{self.place}: {type(error).__name__}: {error}") from None


def _lines(client: redis.Redis) -> Iterator[str]:
    """One JSON document a key: `key` and `dump` in base64, `ends` in Unix milliseconds, 0 for never."""
    for keys in _batches(client.scan_iter(count=_BATCH)):
        now = _now(client)
        asked = client.pipeline(transaction=False)
        for key in keys:
            asked.pttl(key)
            asked.dump(key)
        answers = asked.execute()
        for key, left, dump in zip(keys, answers[::2], answers[1::2], strict=True):
            if dump is not None:
                line = {"key": _text(key), "ends": now + left if left > 0 else 0, "dump": _text(dump)}
                yield json.dumps(line) + "\n"


def _restore(client: redis.Redis, lines: Sequence[str], now: int) -> None:
    """A key that is there twice, since Redis moved it while it was listed, is restored once more."""
    put = client.pipeline(transaction=False)
    for line in lines:
        said = json.loads(line)
        if not said["ends"] or said["ends"] > now:
            put.restore(
                _bytes(said["key"]), said["ends"], _bytes(said["dump"]), replace=True, absttl=bool(said["ends"])
            )
    put.execute()


def _now(client: redis.Redis) -> int:
    """Unix milliseconds by Redis's own clock, which ends its keys."""
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def _batches(found: Any) -> Iterator[list[Any]]:
    rest = iter(found)
    while some := list(islice(rest, _BATCH)):
        yield some


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
