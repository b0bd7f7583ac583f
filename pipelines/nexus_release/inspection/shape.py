"""Whether configuration and weights are of one model, as far as they can be told apart by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nexus_release.inspection.fault import Fault, quoted
from nexus_release.inspection.weights import Tensor

_LAYER = re.compile(r"(?:model|transformer)\.layers\.(\d{1,6})\.")
_EMBEDDING = "model.embed_tokens.weight"
_CONFIG = "config.json"


def check_shape(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises Fault. What a model's names do not show is left to its loader."""
    embedding, vocabulary, hidden = tensors.get(_EMBEDDING), config.get("vocab_size"), config.get("hidden_size")
    if (
        embedding
        and isinstance(vocabulary, int)
        and isinstance(hidden, int)
        and embedding.shape != (vocabulary, hidden)
    ):
        raise Fault(
            embedding.file, f"{_EMBEDDING} is {quoted(list(embedding.shape))}, {_CONFIG} has {vocabulary} x {hidden}"
        )
    layers = config.get("num_hidden_layers")
    found = {int(match[1]) for name in tensors if (match := _LAYER.match(name))}
    if found and isinstance(layers, int) and found != set(range(layers)):
        raise Fault(_CONFIG, f"has {layers} layers, the weights have {len(found)} up to number {max(found)}")
