"""What scales a release asks a real Prometheus, which scrapes real workers as the PodMonitor has them labelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from nexus_release.config import Settings
from nexus_release.manifests.engine_monitor import engine_monitor
from nexus_release.manifests.scaling import SERVICE, scaled_object

from ..support.cluster_settings import settings_of
from ..support.gateway import PLAIN, until
from ..support.prometheus_server import Prometheus
from ..support.worker import Worker

RELEASE, OTHER = "pydoc-chat-0123abcd", "pydoc-chat-4567cdef"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_of(
        "dev",
        {
            "replicas": {"minimum": 1, "maximum": 4},
            "autoscaling": {"scaler": "scaled-object"},
            "gateway": {"watching": {"operator": True}},
        },
    )


def queries(settings: Settings) -> list[str]:
    (scaler,) = scaled_object(RELEASE, "pydoc-chat", settings).values()
    return [trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"]]  # type: ignore[index]  # an Object


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    """Two pods of one release and one of another, each of which takes one request at a time."""
    with ExitStack() as running:
        words = ("--engine=mock", "--served-model-name=chat", "--max-num-seqs=1", "--tokens-per-second=0.1")
        yield [running.enter_context(Worker(*words)) for _ in range(3)]


async def under_load(urls: list[str], prometheus: Prometheus, query: str, answer: list[float]) -> None:
    """Until that is the answer, while three requests are at each of `urls`. A pod that is busy for a second is not
    scraped, and not counted meanwhile."""
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 64, "ignore_eos": True}
    async with httpx.AsyncClient(timeout=120, verify=PLAIN) as client:
        asked = [
            asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body)) for url in urls for _ in range(3)
        ]
        try:
            await asyncio.to_thread(until, lambda: prometheus.query(query) == answer, f"{answer} are in hand")
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


def test_requests_in_hand_are_those_of_all_pods_of_the_release_and_of_no_other(
    settings: Settings, workers: list[Worker], tmp_path: Path
) -> None:
    (monitor,) = engine_monitor(settings).values()
    assert SERVICE in monitor["spec"]["podTargetLabels"]  # type: ignore[index]  # an Object
    # The operator writes a pod's label so, with the characters that Prometheus does not take as underscores.
    label = "".join(sign if sign.isalnum() else "_" for sign in SERVICE)
    names = [RELEASE, RELEASE, OTHER]
    ports = [urlsplit(worker.url).port or 0 for worker in workers]
    targets = {port: {"namespace": settings.namespace, label: name} for port, name in zip(ports, names, strict=True)}
    requests, cache = queries(settings)
    prometheus = Prometheus(tmp_path, targets)
    try:
        until(lambda: prometheus.query(requests) == [0.0], "both are scraped", 60)
        asyncio.run(under_load([worker.url for worker in workers], prometheus, requests, [6.0]))
        until(lambda: len(prometheus.query(cache)) == 1, "both are scraped")
        elsewhere = requests.replace(RELEASE, "nobody-00000000")
        assert prometheus.query(elsewhere) == []  # no figures, which `ignoreNullValues: false` makes a fault
    finally:
        prometheus.stop()
