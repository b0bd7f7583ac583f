"""How many endpoints a group of conversations may use: one while its load fits one, more as it grows.

The width is a bar: the group uses the endpoints whose score for it reaches the bar, or the highest alone where none
does. A count would move more: an endpoint that comes among the first k pushes another out. With a bar it pushes nobody
out, and of n endpoints one more takes 1/(n+1) of the conversations at any width."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from nexus_gateway.prefix_routing.rendezvous import LARGEST

MOST_GROUPS = 4096
"""That are remembered; the one that was asked for longest ago is forgotten, and starts narrow again."""
MEASURED_SECONDS = 300.0
"""Over which shares are."""
NARROW = LARGEST
"""The bar that only a group's first endpoint is taken at."""
GROUPS = 8
_FEW = 3  # of its own tell nothing of its share: of many groups some come twice soon
_WELL_BELOW = 0.7


@dataclass(slots=True)
class _Group:
    weight: float = 0.0
    seen: float = 0.0
    bar: int = NARROW


class Widths:
    """The bars of a model's groups, and the shares that they follow. Times are seconds of any clock that does not go
    back."""

    def __init__(self, most: int = MOST_GROUPS, over_seconds: float = MEASURED_SECONDS) -> None:
        self._most, self._over = most, over_seconds
        self._groups: OrderedDict[int, _Group] = OrderedDict()
        self._total, self._seen = 0.0, 0.0

    def __len__(self) -> int:
        return len(self._groups)

    def of(self, group: int, scores: Sequence[int], need: float, weight: float, now: float) -> int:
        """The group's bar. `scores`: of the endpoints for the group; `need`: see `need_of`;
        `weight`: of this request, which is counted."""
        found = self._counted(group, weight, now)
        share = (found.weight - weight) / self._total if found.weight > _FEW * weight else 0.0
        found.bar = moved(found.bar, scores, need * share)
        return found.bar

    def share(self, group: int) -> float:
        """Of the model's requests by weight, 0 to 1."""
        found = self._groups.get(group)
        return found.weight / self._total if found and self._total else 0.0

    def bar(self, group: int) -> int:
        """As it is, without counting anything."""
        found = self._groups.get(group)
        return found.bar if found else NARROW

    def _counted(self, group: int, weight: float, now: float) -> _Group:
        self._total = self._total * exp((self._seen - now) / self._over) + weight
        self._seen = now
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = _Group()
            if len(self._groups) > self._most:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        found.weight = found.weight * exp((found.seen - now) / self._over) + weight
        found.seen = now
        return found


def need_of(endpoints: int) -> float:
    """What a group would use that made all of the load: it uses its share of that, so that an endpoint keeps the
    beginnings of about `GROUPS` groups. Of few groups all are everywhere, which balances best and costs little cache;
    many stay apart."""
    return float(GROUPS * endpoints)


def moved(bar: int, scores: Sequence[int], need: float) -> int:
    """The bar for a group whose load fills `need` endpoints: all of them where it fills half, since gateways that see
    each a part of the requests would not agree on how many more. It lets more in at once, and fewer only when the load
    is well below them, so that it stays while the load goes up and down a little, or an endpoint comes."""
    used = max(1, len([score for score in scores if score >= bar]))
    if need >= len(scores) / 2:
        return bar if used == len(scores) else min(scores)
    filled = len(scores) / 2 if used == len(scores) else used - 1
    if used + 1 <= need or need < _WELL_BELOW * filled:
        wanted = max(1, int(need))
        return NARROW if wanted == 1 else sorted(scores, reverse=True)[wanted - 1]
    return bar
