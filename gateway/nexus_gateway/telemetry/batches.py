"""Lines handed over on the request's path and written off it: in batches, by a thread, none lost on a clean stop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

_FLUSH_SECONDS = 0.1
_MOST_WAITING = 100_000  # when nobody takes what is written the newest are dropped and counted
_MOST_AT_ONCE = 100
"""Lines of a batch, which is lost as a whole where it fails. When a thousand clients left at once, a batch of all their
lines took a tenth of what their streams had held, and threads do not give back what they once had."""
_MANY_WAITING = 500
"""Lines, which are written without waiting for more: a core answers 5,000 requests in a tenth of a second, whose lines
took seven MiB."""

T = TypeVar("T")


class BatchWriter(ABC, Generic[T]):
    """`add` costs an append. Open: what cannot be written is lost, never a request; `dropped` counts it."""

    def __init__(
        self,
        thread: str,
        *,
        most_waiting: int = _MOST_WAITING,
        most_at_once: int = _MOST_AT_ONCE,
        flush_seconds: float = _FLUSH_SECONDS,
    ) -> None:
        self._most_waiting, self._most_at_once, self._flush_seconds = most_waiting, most_at_once, flush_seconds
        self._many = max(_MANY_WAITING, most_at_once)  # who writes more at once is to have whole batches
        self._waiting, self._lock = list[T](), threading.Lock()
        self._stop, self._due = threading.Event(), threading.Event()
        self._count = 0
        """What waits, by weight."""
        self._thread = threading.Thread(target=self._run, name=thread, daemon=True)
        self.dropped = 0

    @abstractmethod
    def put(self, batch: list[T]) -> None:
        """Writes it, in one thread at a time. What raises loses the batch."""

    def weight(self, item: T) -> int:
        """How many it is, where lines are counted."""
        return 1

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when all that was added before is written or counted."""
        self._stop.set()
        self._due.set()
        self._thread.join()
        self._flush()

    def add(self, item: T) -> None:
        with self._lock:
            if self._has_room():
                self._waiting.append(item)
                self.count(self.weight(item))
            else:
                self.dropped += self.weight(item)

    def add_all(self, items: Sequence[T]) -> None:
        """Of weight 1 each."""
        with self._lock:
            taken = items[: max(0, self._most_waiting - self._count)]
            self._waiting += taken
            self.count(len(taken))
            self.dropped += len(items) - len(taken)

    def _has_room(self) -> bool:
        return self._count < self._most_waiting

    def count(self, more: int) -> None:
        """Of what waits; under the lock."""
        self._count += more
        if self._count >= self._many and not self._due.is_set():
            self._due.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._due.wait(self._flush_seconds)
            self._due.clear()
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting, self._count = self._waiting, [], 0
        for batch in self._batches(waiting):
            try:
                self.put(batch)
            except Exception:  # whatever is wrong with one batch must not end the writing
                with self._lock:
                    self.dropped += sum(map(self.weight, batch))

    def _batches(self, items: list[T]) -> Iterator[list[T]]:
        batch, weight = list[T](), 0
        for item in items:
            batch.append(item)
            weight += self.weight(item)
            if weight >= self._most_at_once:
                yield batch
                batch, weight = [], 0
        if batch:
            yield batch
