"""Makes the base model of a release: fine-tunes the one that is named, or trains a small one from nothing."""

from __future__ import annotations

from typing import Literal

from nexus_release.digests import Digest
from nexus_release.frozen import Artifact, Frozen
from nexus_release.wiring import Tools


class TrainRecipe(Frozen):
    """What training does. With `steps=0` the named base is taken as it is."""

    base: str = "scratch://qwen2"
    """`scratch://qwen2`, `scratch://llama`, or a model's `hf://`, `s3://`, `file://`, `models:/` URI."""
    steps: int = 400
    batch_rows: int = 16
    sequence_tokens: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    # Shape of a model from nothing. Multiples of 128, which int4 groups and vLLM's CPU kernels ask for.
    vocabulary: int = 2048
    hidden: int = 256
    intermediate: int = 512
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    context_tokens: int = 1024
    weights: Literal["bfloat16", "float32"] = "bfloat16"


class TrainIn(Frozen):
    dataset: Digest
    recipe: TrainRecipe


class TrainOut(Frozen):
    model: Artifact
    """A transformers checkpoint: safetensors, `config.json`, `tokenizer.json`, chat template."""
    source: str
    """Digest of the named base's files, or the scratch URI."""
    first_loss: str
    last_loss: str
    """Decimal strings of 4 significant digits."""


def train(given: TrainIn, tools: Tools) -> TrainOut:
    """Raises BadInput for a base that cannot be used, Unreachable or Missing where it is not there."""
    raise NotImplementedError
