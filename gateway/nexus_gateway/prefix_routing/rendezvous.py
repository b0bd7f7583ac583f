"""Rendezvous hashing: each endpoint has a score for each key, and the key belongs to the highest. An endpoint that
comes takes what it now has the highest score for, and nothing else moves."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

LARGEST = (1 << 64) - 1
"""Scores are 0 to this."""


def seed_of(endpoint: str) -> int:
    """64 bits of an endpoint's address; made once for each endpoint."""
    return int.from_bytes(blake2b(endpoint.encode(), digest_size=8).digest(), "big")


def scores(key: int, seeds: Sequence[int]) -> list[int]:
    """One for each seed. The two multiplications of SplitMix64 (Steele, Lea, Flood 2014), written in a line: called for
    64 endpoints with each request."""
    found = []
    for seed in seeds:
        x = key ^ seed
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        x = (x ^ x >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        found.append(x ^ x >> 31)
    return found
