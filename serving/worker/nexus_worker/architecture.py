"""What `config.json` says of the model, as far as the engine computes it. What it would compute wrongly is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_worker.errors import BadCheckpoint

_FILE = "config.json"
_LARGEST = 2**24  # above any real width, depth or vocabulary, far below what would overflow


@dataclass(frozen=True)
class Family:
    """How the models of one architecture differ from Llama's."""

    attention_bias: bool | None
    """Of the query, key and value projections. None where the configuration says, then of the output's as well."""
    head_norms: bool
    """RMS norms of each head's queries and keys."""
    rope_base: float


FAMILIES = {
    "LlamaForCausalLM": Family(attention_bias=None, head_norms=False, rope_base=10_000.0),
    "Qwen2ForCausalLM": Family(attention_bias=True, head_norms=False, rope_base=10_000.0),
    "Qwen3ForCausalLM": Family(attention_bias=None, head_norms=True, rope_base=10_000.0),
}


@dataclass(frozen=True)
class Architecture:
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head: int
    """Width of one head."""
    vocabulary: int
    context: int
    """Tokens for which the positions were made."""
    epsilon: float
    rope_base: float
    rope_factor: float
    """Positions are divided by it (linear scaling)."""
    input_bias: bool
    output_bias: bool
    mlp_bias: bool
    head_norms: bool
    tied: bool
    """The output projection is the embedding."""


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Raises BadCheckpoint that names the field."""
    family = _family(config)
    heads = _size(config, "num_attention_heads")
    hidden = _size(config, "hidden_size")
    kv_heads = _size(config, "num_key_value_heads", heads)
    if heads % kv_heads:
        raise BadCheckpoint(_FILE, "num_key_value_heads", f"{kv_heads} do not divide {heads} heads")
    head = _size(config, "head_dim", hidden // heads)
    if head % 2:
        raise BadCheckpoint(_FILE, "head_dim", f"{head} is odd, and rotary positions take pairs")
    base, factor = _rope(config, family)
    configured = bool(config.get("attention_bias", False))
    return Architecture(
        layers=_size(config, "num_hidden_layers"),
        hidden=hidden,
        intermediate=_size(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        vocabulary=_size(config, "vocab_size"),
        context=_size(config, "max_position_embeddings"),
        epsilon=_number(config, "rms_norm_eps", 1e-6),
        rope_base=base,
        rope_factor=factor,
        input_bias=configured if family.attention_bias is None else family.attention_bias,
        output_bias=configured if family.attention_bias is None else False,
        mlp_bias=bool(config.get("mlp_bias", False)),
        head_norms=family.head_norms,
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _family(config: Mapping[str, Any]) -> Family:
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or named[0] not in FAMILIES:
        raise BadCheckpoint(_FILE, "architectures", f"{named!r} is not one of {', '.join(FAMILIES)}")
    if "auto_map" in config:
        raise BadCheckpoint(_FILE, "auto_map", "the model wants code of its own, and no code is loaded")
    if config.get("hidden_act") != "silu":
        raise BadCheckpoint(_FILE, "hidden_act", f"{config.get('hidden_act')!r} is not supported, only 'silu'")
    if config.get("use_sliding_window") or "sliding_attention" in (config.get("layer_types") or []):
        raise BadCheckpoint(_FILE, "use_sliding_window", "sliding windows are not supported")
    return FAMILIES[named[0]]


def _rope(config: Mapping[str, Any], family: Family) -> tuple[float, float]:
    """Base and linear factor, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before)."""
    fields = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(fields, Mapping):
        raise BadCheckpoint(_FILE, "rope_parameters", "is no JSON object")
    kind = fields.get("rope_type", fields.get("type", "default"))
    if kind not in {"default", "linear"}:
        raise BadCheckpoint(_FILE, "rope_type", f"{kind!r} is not supported, only 'default' and 'linear'")
    if fields.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)) != 1:
        raise BadCheckpoint(_FILE, "partial_rotary_factor", "is not supported")
    base = _number({**config, **fields}, "rope_theta", family.rope_base)
    return base, _number(fields, "factor", 1.0) if kind == "linear" else 1.0


def _size(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name)
    value = default if value is None else value
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise BadCheckpoint(_FILE, name, f"{value!r} is not a number from 1 to {_LARGEST}")
    return value


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name, default)
    if type(value) not in {int, float} or not 0 < value < float("inf"):
        raise BadCheckpoint(_FILE, name, f"{value!r} is no positive number")
    return float(value)
