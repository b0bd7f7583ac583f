"""Makes the base model of a release: fine-tunes the one that is named, or trains a small one from nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from nexus_release.bill_of_materials.licences import licence_files
from nexus_release.digests import Digest, digest_folder
from nexus_release.errors import BadInput
from nexus_release.frozen import Artifact, Frozen
from nexus_release.record import decimal
from nexus_release.wiring import Tools

_BYTES_AND_SPECIAL = 256 + 3  # the least that a byte-level tokenizer with ChatML's tokens has


class TrainRecipe(Frozen):
    """What training does. With `steps=0` a named base is taken as it is, byte for byte."""

    base: str = "scratch://qwen2"
    """`scratch://qwen2`, `scratch://llama`, or a model's `hf://`, `s3://`, `gs://`, `file://`, `models:/` URI."""
    steps: int = Field(default=240, ge=0)
    batch_rows: int = Field(default=8, ge=1)
    sequence_tokens: int = Field(default=128, ge=2)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    # Shape of a model from nothing. Multiples of 128, which int4 groups and vLLM's CPU kernels ask for.
    vocabulary: int = Field(default=2048, ge=_BYTES_AND_SPECIAL)
    hidden: int = Field(default=256, ge=1)
    intermediate: int = Field(default=512, ge=1)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=8, ge=1)
    kv_heads: int = Field(default=4, ge=1)
    context_tokens: int = Field(default=1024, ge=2)
    weights: Literal["bfloat16", "float32"] = "bfloat16"

    @model_validator(mode="after")
    def _fits_together(self) -> TrainRecipe:
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise ValueError(f"hidden {self.hidden} is no even multiple of heads {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is no multiple of kv_heads {self.kv_heads}")
        if self.sequence_tokens > self.context_tokens:
            raise ValueError(f"sequence_tokens {self.sequence_tokens} is above context_tokens {self.context_tokens}")
        return self


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
    """Means over the first and the last tenth of the steps, in nats a token: decimal strings of 4 significant digits;
    empty where nothing was trained."""


def train(given: TrainIn, tools: Tools) -> TrainOut:
    """Raises BadInput for a base that cannot be used, Unreachable or Missing where it is not there."""
    recipe = given.recipe
    rows = read_rows(tools.store.get(given.dataset) / "train.jsonl")
    with tempfile.TemporaryDirectory(prefix="nexus-train-") as folder:
        base, source = _base(recipe, Path(folder), tools)
        if base and recipe.steps == 0:
            return TrainOut(model=tools.store.put(base), source=source, first_loss="", last_loss="")
        into = Path(folder, "model")
        into.mkdir()
        result = tools.trainer.train(rows=rows, base=base, recipe=recipe, into=into)
        if base:
            _keep_licences(base, into)
        return TrainOut(
            model=tools.store.put(into),
            source=source,
            first_loss=decimal(result.first_loss),
            last_loss=decimal(result.last_loss),
        )


def _keep_licences(base: Path, into: Path) -> None:
    """What is made from a model is given on under the model's own terms."""
    for name in licence_files(base):
        shutil.copyfile(base / name, into / name)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a dataset folder's file, which `validate` has written."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _base(recipe: TrainRecipe, folder: Path, tools: Tools) -> tuple[Path | None, str]:
    """(the base's files or None for a model from nothing, what the record says of it)."""
    if recipe.base.startswith("scratch://"):
        if recipe.steps == 0:
            raise BadInput("train.steps", 0, "a model from nothing wants training; with 0 steps name a base")
        return None, recipe.base
    into = folder / "base"
    into.mkdir()
    tools.base_models.fetch(recipe.base, into)
    return into, digest_folder(into)
