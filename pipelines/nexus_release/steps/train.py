"""Makes the base model of a release: fine-tunes the one that is named, or trains a small one from nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from nexus_release.digests import Digest, digest_folder
from nexus_release.frozen import Artifact, Frozen
from nexus_release.record import decimal
from nexus_release.wiring import Tools


class TrainRecipe(Frozen):
    """What training does. With `steps=0` the named base is taken as it is."""

    base: str = "scratch://qwen2"
    """`scratch://qwen2`, `scratch://llama`, or a model's `hf://`, `s3://`, `file://`, `models:/` URI."""
    steps: int = 240
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
    rows = read_rows(tools.store.get(given.dataset) / "train.jsonl")
    with tempfile.TemporaryDirectory(prefix="nexus-train-") as folder:
        base, source = _base(given.recipe.base, Path(folder), tools)
        into = Path(folder, "model")
        into.mkdir()
        result = tools.trainer.train(rows=rows, base=base, recipe=given.recipe, into=into)
        return TrainOut(
            model=tools.store.put(into),
            source=source,
            first_loss=decimal(result.first_loss),
            last_loss=decimal(result.last_loss),
        )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a dataset folder's file, which `validate` has written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _base(uri: str, folder: Path, tools: Tools) -> tuple[Path | None, str]:
    """(the base's files or None for a model from nothing, what the record says of it)."""
    if uri.startswith("scratch://"):
        return None, uri
    into = folder / "base"
    into.mkdir()
    tools.base_models.fetch(uri, into)
    return into, digest_folder(into)
