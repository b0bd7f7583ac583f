"""The key-value cache as vLLM has it: blocks of tokens, shared by what they hold and all that stands before them.

A block is named by a hash over its tokens and the name of the block before it. Blocks of running requests are held;
full ones stay afterwards, the least recently used go first, and of one prompt the last block before the first.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

Chain = tuple[bytes, ...]
"""The names of a prompt's full blocks, from its beginning."""


def chained(tokens: Sequence[int], block_size: int, salt: str, before: Chain = ()) -> Chain:
    """`before` is the chain of a beginning of the same tokens. Another salt shares no block."""
    names = list(before)
    name = names[-1] if names else blake2b(salt.encode(), digest_size=16).digest()
    for start in range(len(names) * block_size, len(tokens) - block_size + 1, block_size):
        block = array("L", tokens[start : start + block_size]).tobytes()
        name = blake2b(name + block, digest_size=16).digest()
        names.append(name)
    return tuple(names)


@dataclass
class Lease:
    """Blocks of one running request."""

    chain: Chain
    others: int
    """Blocks without a name: the last of the prompt, and those of the answer."""
    hits: int
    """Blocks at the beginning that were there before."""
    computed: Chain
    """What may be kept when the request ends. Who computes more says so."""


class BlockPool:
    """Never more than `size` blocks, held and kept together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: Counter[bytes] = Counter()
        self._kept: OrderedDict[bytes, None] = OrderedDict()  # the next to go first
        self._others = 0

    @property
    def used(self) -> int:
        """Blocks of running requests."""
        return len(self._held) + self._others

    @property
    def filled(self) -> int:
        """Blocks of running requests, and those that are kept."""
        return self.used + len(self._kept)

    def take(self, chain: Chain, blocks: int, most_hits: int) -> Lease | None:
        """`blocks` for the whole of a request, those of `chain` among them; None where they are not free. Hits are the
        beginning of the chain that is there, and never more than `most_hits`."""
        new = sum(name not in self._held for name in chain)
        if self.used + new + blocks - len(chain) > self.size:
            return None
        hits = self.hits(chain[:most_hits])
        for name in chain:
            self._held[name] += 1
            self._kept.pop(name, None)
        self._others += blocks - len(chain)
        self._make_room()
        return Lease(chain, blocks - len(chain), hits, chain[:hits])

    def give_back(self, lease: Lease) -> None:
        self._others -= lease.others
        for name in lease.chain:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
        for name in reversed(lease.computed):
            if name not in self._held:
                self._kept[name] = None
                self._kept.move_to_end(name)
        self._make_room()

    def hits(self, chain: Chain) -> int:
        """Blocks at its beginning that are there now."""
        there = (name in self._held or name in self._kept for name in chain)
        return next((number for number, found in enumerate(there) if not found), len(chain))

    def _make_room(self) -> None:
        while self.filled > self.size:
            self._kept.popitem(last=False)
