"""Asks what runs beside Nexus how it is: pages over HTTP, Redis, Kafka. It only reads."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nexus_release.adapters.server_urls import server_url
from nexus_release.doctor.asking import Page
from nexus_release.errors import BadInput, Unreachable

if TYPE_CHECKING:
    import httpx

_SECONDS = 5.0  # without a word: whoever is asked is near, and a person waits
_PAGE_SECONDS = 5.0  # for a page to its end
_MOST_CHARACTERS = 4 << 20  # of a page


@contextmanager
def service_answers() -> Iterator[ServiceAnswers]:
    import httpx

    with httpx.Client(timeout=_SECONDS) as client:
        yield ServiceAnswers(client)


class ServiceAnswers:
    """The port `Services`. Asked by several threads."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, url: str, path: str, headers: Mapping[str, str] | None = None) -> Page:
        import httpx

        try:
            with self._client.stream("GET", f"{url}{path}", headers=headers) as answer:
                text = _beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Page(0, f"{type(error).__name__}: {error}")
        return Page(answer.status_code, text)

    def redis(self, url: str) -> Mapping[str, Any]:
        import redis

        form = "redis://:PASSWORD@HOST:PORT/DATABASE"
        parts = server_url("NEXUS_REDIS", url, form)
        if parts.scheme not in ("redis", "rediss"):
            raise BadInput("NEXUS_REDIS", parts.scheme, f"give {form}")
        try:
            with redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
                told: Mapping[str, Any] = client.info()
                return told
        except redis.RedisError as error:
            raise Unreachable(
                f"redis://{parts.hostname}:{parts.port or 6379}: {type(error).__name__}: {error}"
            ) from None

    def topics(self, servers: str) -> frozenset[str] | None:
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError:
            _connect(servers.split(",")[0])
            return None
        quiet: dict[str, str | int | float | bool] = {
            "bootstrap.servers": servers,
            "log_level": 0,
            "socket.timeout.ms": int(_SECONDS * 1000),
        }
        try:
            return frozenset(AdminClient(quiet).list_topics(timeout=_SECONDS).topics)
        except KafkaException as error:
            raise Unreachable(f"Kafka at {servers}: {error.args[0].str()}") from None


def _beginning(answer: httpx.Response) -> str:
    """Of a page that may have no end. Raises httpx.ReadTimeout where it is not there in time, however it trickles."""
    import httpx

    until, text = time.monotonic() + _PAGE_SECONDS, ""
    for piece in answer.iter_text():
        text += piece
        if len(text) >= _MOST_CHARACTERS:
            break
        if time.monotonic() > until:
            raise httpx.ReadTimeout(f"no end of the page within {_PAGE_SECONDS:g} s")
    return text[:_MOST_CHARACTERS]


def _connect(server: str) -> None:
    """Raises Unreachable or BadInput."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit():
        raise BadInput("KAFKA_BOOTSTRAP_SERVERS", server, "give HOST:PORT, several with commas between")
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except OSError as error:
        raise Unreachable(f"Kafka at {server}: {error}") from None
