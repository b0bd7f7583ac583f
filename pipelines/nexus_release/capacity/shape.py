"""The shape of a decoder, and what follows from it: parameters, bytes of its weights, bytes of its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from nexus_release.errors import BadInput
from nexus_release.frozen import Frozen
from nexus_release.schemes import Scheme

GROUP = 128  # columns that share one int4 scale (adapters/quantizer.py)
_NOT_COUNTED = ("num_experts", "num_local_experts", "n_routed_experts", "kv_lora_rank", "text_config")
"""Fields of models whose weights or caches are of another form than below."""
_WIDTHS: Mapping[object, Literal[2, 4]] = {"bfloat16": 2, "float16": 2, "float32": 4}
_LARGEST = 2**24  # above any real width, depth or vocabulary


class ModelShape(Frozen):
    """A decoder of the Llama kind: grouped-query attention, and an MLP of three matrices."""

    layers: int = Field(ge=1, le=_LARGEST)
    hidden: int = Field(ge=1, le=_LARGEST)
    intermediate: int = Field(ge=1, le=_LARGEST)
    heads: int = Field(ge=1, le=_LARGEST)
    kv_heads: int = Field(ge=1, le=_LARGEST)
    head: int = Field(ge=1, le=_LARGEST)
    """Width of one head."""
    vocabulary: int = Field(ge=1, le=_LARGEST)
    context: int = Field(ge=1, le=_LARGEST)
    """Tokens for which its positions were made."""
    tied: bool
    """The output projection is the embedding."""
    width: Literal[2, 4]
    """Bytes of a number that is not quantized."""

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each matrix of one layer that is quantized."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        return (
            (queries, self.hidden),
            (keys, self.hidden),
            (keys, self.hidden),
            (self.hidden, queries),
            (self.intermediate, self.hidden),
            (self.intermediate, self.hidden),
            (self.hidden, self.intermediate),
        )

    @property
    def unquantized(self) -> int:
        """Parameters of embedding, output projection and norms. Biases are too few to count."""
        tables = 1 if self.tied else 2
        return tables * self.vocabulary * self.hidden + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        return self.unquantized + self.layers * sum(rows * columns for rows, columns in self.linear)


def shape_of_config(config: Mapping[str, Any], shown: str) -> ModelShape:
    """From `config.json` of the checkpoint that is called `shown`. Raises BadInput for what cannot be counted."""
    for name in _NOT_COUNTED:
        if config.get(name):
            raise BadInput(f"{shown}: config.json: {name}", config[name], "only dense decoders of one part are planned")
    heads = _size(config, shown, "num_attention_heads")
    hidden = _size(config, shown, "hidden_size")
    return ModelShape(
        layers=_size(config, shown, "num_hidden_layers"),
        hidden=hidden,
        intermediate=_size(config, shown, "intermediate_size"),
        heads=heads,
        kv_heads=_size(config, shown, "num_key_value_heads", heads),
        head=_size(config, shown, "head_dim", hidden // heads or 1),
        vocabulary=_size(config, shown, "vocab_size"),
        context=_size(config, shown, "max_position_embeddings"),
        tied=config.get("tie_word_embeddings") is True,
        width=_WIDTHS.get(config.get("dtype", config.get("torch_dtype")), 2),
    )


def weight_bytes(shape: ModelShape, scheme: Scheme | None) -> int:
    """Of the checkpoint's tensors as compressed-tensors stores them; None is the base, unquantized."""
    if scheme is None:
        return shape.parameters * shape.width
    matrices = sum(_stored(rows, columns, scheme, shape.width) for rows, columns in shape.linear)
    return shape.unquantized * shape.width + shape.layers * matrices


def cache_bytes_per_token(shape: ModelShape, kv_heads: int, number: int) -> int:
    """A key and a value for each layer and head; `number` is the bytes of one number."""
    return 2 * shape.layers * kv_heads * shape.head * number


def _stored(rows: int, columns: int, scheme: Scheme, width: int) -> int:
    """Numbers and scales: one scale a row for 8 bits, one for each group of a row for 4."""
    if scheme == "W4A16":
        return rows * -(-columns // 2) + rows * -(-columns // GROUP) * width
    return rows * columns + rows * width


def _size(config: Mapping[str, Any], shown: str, name: str, default: int | None = None) -> int:
    value = config.get(name)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise BadInput(f"{shown}: config.json: {name}", value, f"give a number from 1 to {_LARGEST}")
    return value
