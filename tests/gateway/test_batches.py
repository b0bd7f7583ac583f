"""When what waits to be written is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus_gateway.telemetry.batches import BatchWriter

from ..support.gateway import until

HOUR = 3600.0


class Kept(BatchWriter[int]):
    def __init__(self, flush_seconds: float, **bounds: int) -> None:
        super().__init__("test-batches", flush_seconds=flush_seconds, **bounds)
        self.put_down: list[list[int]] = []

    def put(self, batch: list[int]) -> None:
        self.put_down.append(batch)

    @property
    def written(self) -> list[int]:
        return [item for batch in self.put_down for item in batch]


@pytest.fixture
def patient() -> Iterator[Kept]:
    """Would write in an hour."""
    writer = Kept(HOUR)
    writer.start()
    yield writer
    writer.stop()


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_where_many_wait_they_are_written_before_their_time(patient: Kept, together: bool) -> None:
    many = list(range(2000))
    if together:
        patient.add_all(many)
    else:
        for number in many:
            patient.add(number)
    until(lambda: len(patient.written) > 1000, "most are written")
    patient.stop()
    assert patient.written == many
    assert max(map(len, patient.put_down)) <= 100


def test_who_writes_many_at_once_is_not_woken_for_half_of_them(patient: Kept) -> None:
    """As it is with spans, of which each batch is a request of its own."""
    writer = Kept(HOUR, most_at_once=1000)
    writer.start()
    for one in (writer, patient):
        one.add_all(range(600))
    until(lambda: len(patient.written) == 600, "the other is woken")
    writer.add_all(range(600, 900))
    writer.stop()
    assert writer.put_down == [list(range(900))]


def test_a_stop_writes_what_still_waits(patient: Kept) -> None:
    patient.add(1)
    patient.stop()
    assert patient.written == [1]


def test_few_are_written_when_their_time_has_come() -> None:
    writer = Kept(0.01)
    writer.start()
    writer.add(1)
    until(lambda: writer.written == [1], "it is written")
    writer.stop()
