"""Makes the smaller checkpoint that is served."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import Field

from nexus_release.digests import Digest
from nexus_release.frozen import Artifact, Frozen
from nexus_release.inspection.checkpoint import inspect_checkpoint
from nexus_release.schemes import Scheme
from nexus_release.steps.train import read_rows
from nexus_release.wiring import Tools


class QuantizeRecipe(Frozen):
    scheme: Scheme = "W8A8"
    calibration_rows: int = Field(default=128, ge=1, le=4096)
    """Drawn from the training set by the seed; FP8_DYNAMIC uses none."""
    seed: int = Field(default=0, ge=0)


class QuantizeIn(Frozen):
    model: Artifact
    dataset: Digest
    recipe: QuantizeRecipe


class QuantizeOut(Frozen):
    artifact: Artifact
    """A compressed-tensors checkpoint that vLLM loads."""


def quantize(given: QuantizeIn, tools: Tools) -> QuantizeOut:
    """Raises BadInput where the model's shape does not fit the scheme."""
    rows = read_rows(tools.store.get(given.dataset) / "train.jsonl")
    with tempfile.TemporaryDirectory(prefix="nexus-quantize-") as folder:
        tools.quantizer.quantize(
            model=tools.store.get(given.model.digest), rows=rows, recipe=given.recipe, into=Path(folder)
        )
        inspect_checkpoint(Path(folder), "the quantized checkpoint")
        return QuantizeOut(artifact=tools.store.put(Path(folder)))
