"""Draws one token from logits."""

from __future__ import annotations

import numpy as np

from nexus_worker.engines.engine import Sampling
from nexus_worker.safetensors_file import Array


def draw(logits: Array, sampling: Sampling, random: np.random.Generator) -> int:
    """`logits` of one position. The most likely tokens are kept by top_k, then by top_p, as vLLM does it."""
    order = np.argsort(-logits, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    scaled = logits[order].astype(np.float64) / sampling.temperature
    probabilities = np.exp(scaled - scaled.max())
    probabilities /= probabilities.sum()
    before = np.cumsum(probabilities) - probabilities
    kept = np.where(before < sampling.top_p, probabilities, 0.0)
    return int(order[np.searchsorted(np.cumsum(kept), random.random() * kept.sum(), side="right")])
