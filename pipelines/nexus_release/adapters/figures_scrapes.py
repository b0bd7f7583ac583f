"""The gateways' figures without a Prometheus: what every replica's counters have grown by since the last look.

The last scrape and the blocks until now are kept in a file, whole or not at all. A look is a block. A replica that is
seen for the first time is where counting begins; one that has begun again is counted from 0; one that is gone keeps
what it has added, and what it counted after its last scrape is lost: of both releases alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from nexus_release.adapters.http_health import addresses_of
from nexus_release.canary.figures import PREFIX, Arms, Looked, Series, Values, added, block_of, buckets_of, growth
from nexus_release.canary.tallies import Block
from nexus_release.errors import Unreachable
from nexus_release.frozen import Frozen
from nexus_release.journal import write_whole
from nexus_release.local.probes import get
from nexus_release.monitoring.outbox import alone
from nexus_release.monitoring.windows import Window, moment, written
from nexus_release.names import model_slug

_LINE = re.compile(rf"^{PREFIX}(\w+)\{{(.*)\}} ([0-9.e+-]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class _Kept(Frozen):
    """Between two looks."""

    mark: str
    at: str
    last: dict[str, list[tuple[Series, float]]]
    """Replica -> what it said when it was last seen."""
    blocks: tuple[Block, ...]
    buckets: dict[str, tuple[str, ...]]


class ScrapedFigures:
    """The port `Figures`."""

    def __init__(self, gateway: str, folder: Path) -> None:
        """`gateway`: one address or several with commas between, each of which may name several replicas. `folder`
        keeps the state."""
        self._gateways, self._folder = gateway.split(","), folder

    def look(self, arms: Arms, labels: object, since: datetime, until: datetime, seconds: int) -> Looked:
        """A look is a block; the first one since the weight was set begins to count. Raises Unreachable where nobody
        answers."""
        folder, replicas = self._folder / arms.environment / model_slug(arms.model), self._replicas()
        with alone(folder):
            scraped = _scraped(replicas, arms)
            if not scraped:
                raise Unreachable(f"no gateway answers at {', '.join(replicas)}")
            kept = _read(folder / "looks.json", arms.mark)
            found = _more(kept, scraped, arms, until)
            write_whole(folder / "looks.json", found.model_dump_json() + "\n")
        silent = len(replicas) - len(scraped)
        notes = (f"{silent} of {len(replicas)} gateways did not answer",) if silent else ()
        return Looked("scrapes", found.blocks, found.buckets, notes)

    def _replicas(self) -> list[str]:
        try:
            return sorted({address for gateway in self._gateways for address in addresses_of(gateway)})
        except OSError as error:
            raise Unreachable(f"NEXUS_GATEWAY: {','.join(self._gateways)}: {error}") from None


def _scraped(replicas: Sequence[str], arms: Arms) -> dict[str, dict[Series, float]]:
    """By replica; those that do not answer are left out."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        pages = pool.map(lambda address: get(f"{address}/metrics"), replicas)
        return {
            address: _values(page.decode(), arms)
            for address, page in zip(replicas, pages, strict=True)
            if page is not None
        }


def _more(kept: _Kept | None, scraped: dict[str, dict[Series, float]], arms: Arms, now: datetime) -> _Kept:
    """With the block since the last look; where that was within the same second the new figures wait for the next."""
    if kept is None:
        return _Kept(
            mark=arms.mark, at=written(now), last=_listed(scraped), blocks=(), buckets=buckets_of(scraped.values())
        )
    if moment(kept.at) >= moment(written(now)):
        return kept
    last = {replica: dict(values) for replica, values in kept.last.items()}
    grown = added(growth(last[replica], values) for replica, values in scraped.items() if replica in last)
    buckets = buckets_of(scraped.values())
    window = Window(since=kept.at, until=written(now))
    blocks = (*kept.blocks, block_of(window, grown, arms, buckets))
    return _Kept(mark=kept.mark, at=window.until, last=_listed(last | scraped), blocks=blocks, buckets=buckets)


def _listed(values: Mapping[str, Values]) -> dict[str, list[tuple[Series, float]]]:
    return {replica: sorted(of_one.items()) for replica, of_one in values.items()}


def _read(path: Path, mark: str) -> _Kept | None:
    """None where nothing is kept since the weight was set."""
    try:
        kept = _Kept.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return kept if kept.mark == mark else None


def _values(text: str, arms: Arms) -> dict[Series, float]:
    found: dict[Series, float] = {}
    for name, written_labels, value in _LINE.findall(text):
        labels = dict(_LABEL.findall(written_labels))  # a model's name has nothing that would be escaped
        if labels.get("route") == arms.model and labels.get("release") in (arms.stable, arms.canary):
            last = labels.get("call") or labels.get("ending") or labels.get("le") or ""
            found[name, labels["release"], last] = float(value)
    return found
