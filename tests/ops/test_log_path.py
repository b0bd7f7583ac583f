"""The whole way of a line: a real gateway, Vector's programs, brokers of librdkafka, Vector's programs, an index.

Vector itself cannot be run here. Its two halves of Kafka are librdkafka, and so are ours: by the options that the
configurations give it. The brokers are librdkafka's own mock ones, which speak the protocol and keep nothing.
"""

from __future__ import annotations

import gzip
import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from ..support.elastic import Elastic, elastic
from ..support.gateway_run import GatewayRun
from ..support.index_mapping import template
from ..support.vector import Topology

TRACEBACK = ["Traceback (most recent call last):", "ValueError: of a library"]
FOREIGN = b"hello from somebody else"
COLLECT = Topology("collect.yaml")
SECONDS = 30.0

Message = Any
"""confluent_kafka.Message, which is untyped."""


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    """Addresses of three mock brokers, as long as the client that has started them lives."""
    from confluent_kafka import Producer

    keeper = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "mock", "log_level": 2})
    metadata = keeper.list_topics(timeout=SECONDS)
    yield ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    keeper.flush(SECONDS)


@pytest.fixture(scope="module")
def messages(run: GatewayRun, brokers: str) -> dict[str, list[Message]]:
    """What is in each topic after every line of the run has been collected, and something foreign besides."""
    events = [
        pair for line in [*run.output, *TRACEBACK] for pair in COLLECT.flow("gateway_containers", container(line))
    ]
    for path, lines in run.audit.items():
        events += [pair for line in lines for pair in COLLECT.flow("audit_files", {"message": line, "file": path})]
    produced(brokers, events)
    return {sink["topic"]: consumed(brokers, sink["topic"]) for sink in COLLECT.sinks.values() if "topic" in sink}


@pytest.fixture(scope="module")
def store(brokers: str, messages: dict[str, list[Message]]) -> Iterator[Elastic]:
    """An Elasticsearch that has our templates and every document, each of them sent twice as after a crash."""
    with elastic() as server:
        for name in messages:
            server.kept[f"/_index_template/{name}"] = template(name)
        server.passwords["nexus-vector"] = "secret"
        vector = Topology("store.yaml", ELASTICSEARCH_URL=server.url)
        for _ in range(2):
            for topic, held in messages.items():
                (source,) = (name for name, one in vector.config["sources"].items() if one.get("topics") == [topic])
                for message in held:
                    bulk(vector, list(vector.flow(source, received(message))))
        yield server


def container(line: str) -> dict[str, Any]:
    return {"message": line, "host": "node-1", "container_name": "gateway-1", "image": "gateway:1", "stream": "stdout"}


def produced(brokers: str, events: list[tuple[str, dict[str, Any]]]) -> None:
    """By each sink's own options."""
    from confluent_kafka import Producer

    failed: list[str] = []
    for name in {sink for sink, _ in events}:
        sink = COLLECT.sinks[name]
        options = {"compression.type": sink["compression"], "message.timeout.ms": sink["message_timeout_ms"]}
        producer = Producer({"bootstrap.servers": brokers, **options, **sink["librdkafka_options"]})
        for event in (event for to, event in events if to == name):
            producer.produce(
                sink["topic"],
                COLLECT.encoded(name, event),
                key=event[sink["key_field"]],
                headers=list(event[sink["headers_key"]].items()),
                on_delivery=lambda error, _: failed.append(str(error)) if error else None,
            )
        if name == "gateway_logs":
            producer.produce(sink["topic"], FOREIGN)
        assert producer.flush(SECONDS) == 0
    assert failed == []


def consumed(brokers: str, topic: str) -> list[Message]:
    """Everything in a topic, by the options of the source that reads it."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    (source,) = (one for one in Topology("store.yaml").config["sources"].values() if one.get("topics") == [topic])
    options = {"group.id": source["group_id"], "auto.offset.reset": source["auto_offset_reset"]}
    reader = Consumer({"bootstrap.servers": brokers, "enable.partition.eof": True, **options})
    partitions = list(reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions)
    reader.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
    found: list[Message] = []
    ended: set[int] = set()
    while len(ended) < len(partitions):
        message = reader.poll(SECONDS)
        assert message is not None, f"{topic} does not end"
        if message.error() is None:
            found.append(message)
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended.add(message.partition())
    reader.close()
    return found


def received(message: Message) -> dict[str, Any]:
    """What Vector's source makes of a message."""
    return {
        "message": message.value().decode(),
        "message_key": (message.key() or b"").decode(),
        "headers": {name: value.decode() for name, value in message.headers() or []},
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "source_type": "kafka",
    }


def bulk(vector: Topology, events: list[tuple[str, dict[str, Any]]]) -> None:
    """One request, as the sink's options have it; who writes is in them too."""
    for name, event in events:
        sink = vector.sinks[name]
        about = {"_index": index(sink, event), "_id": event.pop(sink["id_key"])}
        lines = [json.dumps({sink["bulk"]["action"]: about}).encode(), vector.encoded(name, event)]
        credentials = f"{sink['auth']['user']}:{sink['auth']['password']}".encode()
        headers = {"content-encoding": sink["compression"], "authorization": f"Basic {b64encode(credentials).decode()}"}
        request = urllib.request.Request(f"{sink['endpoints'][0]}/_bulk", gzip.compress(b"\n".join(lines)), headers)  # noqa: S310 - on this machine
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - the same
            assert answer.status == 200


def index(sink: dict[str, Any], event: dict[str, Any]) -> str:
    return datetime.fromisoformat(event["timestamp"]).strftime(sink["bulk"]["index"])


def test_every_line_is_a_message_of_its_topic_and_lies_beside_those_of_its_trace(
    run: GatewayRun, messages: dict[str, list[Message]]
) -> None:
    values = [message.value() for message in messages["gateway-logs"]]
    assert len(values) == len(run.output) + 1
    assert FOREIGN in values
    assert [len(messages[name]) for name in ("gateway-audit", "gateway-unparsed")] == [
        sum(map(len, run.audit.values())),
        len(TRACEBACK),
    ]
    partitions: dict[bytes, set[int]] = {}
    for message in messages["gateway-logs"]:
        if message.value() != FOREIGN:
            told = json.loads(message.value())
            assert message.key().decode() == told.get("trace_id", "gateway-1")
            assert dict(message.headers())["schema"] == b"nexus.gateway.log"
            assert not {"kafka_key", "kafka_headers"} & told.keys()
            partitions.setdefault(message.key(), set()).add(message.partition())
    assert all(len(one) == 1 for one in partitions.values())
    assert len(partitions) > 3


def test_every_line_comes_out_as_a_document_of_its_day_that_the_index_takes(run: GatewayRun, store: Elastic) -> None:
    assert store.refused == []
    documents = {place: one for place, one in store.documents.items() if place[0].startswith("gateway-logs-")}
    lines = [json.loads(line) for line in run.output]
    assert len(documents) == len(lines), "each once, though each was sent twice"
    for line in lines:
        day = line["timestamp"][:10].replace("-", ".")
        same = [
            one
            for (name, _), one in documents.items()
            if name == f"gateway-logs-{day}" and line.items() <= {**one, **one.get("more", {})}.items()
        ]
        assert len(same) >= 1, line
    (order,) = (one for one in documents.values() if one.get("request_id") == "order-4711")
    assert order["source"] == {"host": "node-1", "container": "gateway-1", "image": "gateway:1"}


def test_the_audit_s_chain_can_be_followed_in_its_index(run: GatewayRun, store: Elastic) -> None:
    held = [one for (name, _), one in store.documents.items() if name.startswith("gateway-audit-")]
    assert len(held) == sum(map(len, run.audit.values()))
    for path in run.audit:
        chain = sorted((one for one in held if one["source"]["file"] == path), key=lambda one: int(one["seq"]))
        assert [one["previous"] for one in chain[1:]] == [one["hash"] for one in chain[:-1]]


def test_what_nobody_could_read_is_found_with_its_reason(store: Elastic) -> None:
    held = [one for (name, _), one in store.documents.items() if name.startswith("gateway-unparsed-")]
    assert {one["line"] for one in held} == {*TRACEBACK, FOREIGN.decode()}
    (foreign,) = (one for one in held if one["line"] == FOREIGN.decode())
    assert (foreign["program"], foreign["source"]) == ("log_documents", {"topic": "gateway-logs"})
