"""Windows of time: from one second of UTC to before another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import model_validator

from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen

_FORM = "%Y-%m-%dT%H:%M:%SZ"
_SECONDS = 19  # characters of a time to its second


class Window(Frozen):
    since: str
    until: str
    """The first second that is no longer in it. Both as `2026-11-01T00:00:00Z`."""

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if moment(self.since) >= moment(self.until):
            raise ValueError(f"it ends at {self.until} and begins at {self.since}")
        return self

    def holds(self, time: str) -> bool:
        """A time in UTC, to the second or finer. Such texts are in the order of the times."""
        return self.since[:_SECONDS] <= time[:_SECONDS] < self.until[:_SECONDS]


def moment(text: str) -> datetime:
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def written(time: datetime) -> str:
    return time.astimezone(UTC).strftime(_FORM)


def parsed(field: str, text: str) -> datetime:
    """What a person or Git has written, to the second. Raises BadInput."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(field, text, "write a time as 2026-11-01T00:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def last_whole(now: datetime, hours: int) -> datetime:
    """When the last window ended of those that follow each other since 1970-01-01."""
    length = timedelta(hours=hours)
    return now - (now - datetime.fromtimestamp(0, UTC)) % length


def lasting(until: datetime, hours: int) -> Window:
    return Window(since=written(until - timedelta(hours=hours)), until=written(until))
