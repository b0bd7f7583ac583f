"""Draws up the bill of materials of what will be released."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nexus_release.bill_of_materials.document import FILE
from nexus_release.bill_of_materials.model import Made, model_bill
from nexus_release.data_declaration import Declaration
from nexus_release.digests import Digest
from nexus_release.frozen import Artifact, Frozen
from nexus_release.names import ModelName
from nexus_release.record import Figure
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.register import recipe_texts
from nexus_release.steps.train import TrainOut, TrainRecipe
from nexus_release.wiring import Tools


class DescribeIn(Frozen):
    model: ModelName
    dataset: Digest
    rows: int
    declaration: Declaration | None
    train_recipe: TrainRecipe
    trained: TrainOut
    quantize_recipe: QuantizeRecipe
    artifact: Artifact
    figures: tuple[Figure, ...]
    """Of the quality gate."""


class DescribeOut(Frozen):
    bill_of_materials: Digest
    """Of the folder in the store that holds `bom.cdx.json`."""


def describe(given: DescribeIn, tools: Tools) -> DescribeOut:
    """Raises Missing or DigestMismatch where the store does not hold the artifact or its base."""
    store, artifact = tools.store, given.artifact.digest
    bill = model_bill(
        Made(
            model=given.model,
            artifact=artifact,
            files=store.listing(artifact),
            checkpoint=store.get(artifact),
            base=given.trained.model.digest,
            base_source=given.trained.source,
            base_checkpoint=store.get(given.trained.model.digest),
            dataset=given.dataset,
            rows=given.rows,
            declaration=given.declaration,
            recipe=recipe_texts(given.train_recipe, given.quantize_recipe),
            figures=given.figures,
        )
    )
    with tempfile.TemporaryDirectory(prefix="nexus-describe-") as folder:
        Path(folder, FILE).write_text(bill, encoding="utf-8")
        return DescribeOut(bill_of_materials=store.put(Path(folder)).digest)
