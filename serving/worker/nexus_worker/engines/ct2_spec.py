"""A checkpoint's tensors, put where CTranslate2's specification of a decoder has them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from nexus_worker.checkpoint import Checkpoint
from nexus_worker.errors import BadCheckpoint
from nexus_worker.safetensors_file import Array


def build_spec(checkpoint: Checkpoint, *, compute_type: str) -> Any:
    """A complete TransformerDecoderModelSpec. Raises BadCheckpoint.

    Its vocabulary is the ids themselves as text: tokens go in and out as ids, and a tokenizer may name two alike.
    """
    with _without_torch():
        from ctranslate2.specs import attention_spec, common_spec, transformer_spec

    shape = checkpoint.architecture
    linear = attention_spec.RotaryScalingType.Linear if shape.rope_factor != 1.0 else None
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=common_spec.Activation.SWISH,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=shape.head,
        rotary_interleave=False,
        rotary_scaling_type=linear,
        rotary_scaling_factor=shape.rope_factor,
        rotary_base=shape.rope_base,
        num_heads_kv=shape.kv_heads,
        head_dim=shape.head,
        qk_norm=shape.head_norms,
    )
    _fill(spec.decoder, checkpoint)
    checkpoint.check_all_used()
    spec.register_vocabulary([str(token) for token in range(shape.vocabulary)])
    # Beginning, end and unknown are named by each request; the engine wants some word for them all the same.
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"  # noqa: S105 - words, no secrets
    spec.config.layer_norm_epsilon = shape.epsilon
    spec.validate()
    spec.optimize(compute_type)
    return spec


def _fill(decoder: Any, checkpoint: Checkpoint) -> None:
    shape = checkpoint.architecture
    decoder.scale_embeddings = False
    embedding = checkpoint.array("model.embed_tokens.weight", shape.vocabulary, shape.hidden)
    decoder.embeddings.weight = embedding
    decoder.layer_norm.gamma = checkpoint.array("model.norm.weight", shape.hidden)
    decoder.projection.weight = _projection(checkpoint, embedding)
    for number, layer in enumerate(decoder.layer):
        _fill_attention(layer.self_attention, checkpoint, f"model.layers.{number}")
        _fill_mlp(layer.ffn, checkpoint, f"model.layers.{number}")


def _projection(checkpoint: Checkpoint, embedding: Array) -> Array:
    shape = checkpoint.architecture
    if shape.tied and not checkpoint.has("lm_head.weight"):
        return embedding
    projection = checkpoint.matrix("lm_head", shape.vocabulary, shape.hidden)
    if shape.tied and not np.array_equal(projection, embedding):
        raise BadCheckpoint("config.json", "tie_word_embeddings", "is true, but lm_head.weight is not the embedding")
    return projection


def _fill_attention(attention: Any, checkpoint: Checkpoint, layer: str) -> None:
    shape = checkpoint.architecture
    rows = {"q": shape.heads * shape.head, "k": shape.kv_heads * shape.head, "v": shape.kv_heads * shape.head}
    attention.layer_norm.gamma = checkpoint.array(f"{layer}.input_layernorm.weight", shape.hidden)
    fused, output = attention.linear
    fused.weight = np.concatenate(
        [checkpoint.matrix(f"{layer}.self_attn.{part}_proj", rows[part], shape.hidden) for part in "qkv"]
    )
    if shape.input_bias:
        fused.bias = np.concatenate(
            [checkpoint.array(f"{layer}.self_attn.{part}_proj.bias", rows[part]) for part in "qkv"]
        )
    output.weight = checkpoint.matrix(f"{layer}.self_attn.o_proj", shape.hidden, rows["q"])
    if shape.output_bias:
        output.bias = checkpoint.array(f"{layer}.self_attn.o_proj.bias", shape.hidden)
    if shape.head_norms:
        attention.q_norm.gamma = checkpoint.array(f"{layer}.self_attn.q_norm.weight", shape.head)
        attention.k_norm.gamma = checkpoint.array(f"{layer}.self_attn.k_norm.weight", shape.head)


def _fill_mlp(mlp: Any, checkpoint: Checkpoint, layer: str) -> None:
    shape = checkpoint.architecture
    wide, narrow = shape.intermediate, shape.hidden
    mlp.layer_norm.gamma = checkpoint.array(f"{layer}.post_attention_layernorm.weight", narrow)
    for linear, name, rows, columns in (
        (mlp.linear_0, "gate_proj", wide, narrow),
        (mlp.linear_0_noact, "up_proj", wide, narrow),
        (mlp.linear_1, "down_proj", narrow, wide),
    ):
        linear.weight = checkpoint.matrix(f"{layer}.mlp.{name}", rows, columns)
        if shape.mlp_bias:
            linear.bias = checkpoint.array(f"{layer}.mlp.{name}.bias", rows)


@contextmanager
def _without_torch() -> Iterator[None]:
    """The specifications import torch wherever it is installed: two seconds and 200 MB, and numpy does all here."""
    hidden = "torch" not in sys.modules
    if hidden:
        cast(dict[str, object], sys.modules)["torch"] = None  # which is how Python is told that an import fails
    try:
        yield
    finally:
        if hidden:
            del sys.modules["torch"]
