"""A small real model, trained once for the session on arithmetic in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nexus_release.frozen import Artifact
from nexus_release.schemes import Scheme
from nexus_release.steps.quantize import QuantizeIn, QuantizeRecipe, quantize
from nexus_release.steps.train import TrainIn, TrainOut, TrainRecipe, train
from nexus_release.steps.validate import DataGate, ValidateIn, validate
from nexus_release.wiring import Connections, Tools

RECIPE = TrainRecipe(
    steps=30,
    batch_rows=8,
    sequence_tokens=32,
    vocabulary=384,
    hidden=128,
    intermediate=128,
    layers=2,
    heads=4,
    kv_heads=2,
    context_tokens=128,
)


@dataclass
class Trained:
    tools: Tools
    dataset: str
    out: TrainOut

    @property
    def folder(self) -> Path:
        return self.tools.store.get(self.out.model.digest)

    def train(self, recipe: TrainRecipe) -> TrainOut:
        return train(TrainIn(dataset=self.dataset, recipe=recipe), self.tools)

    def quantize(self, scheme: Scheme, model: Artifact | None = None) -> Artifact:
        recipe = QuantizeRecipe(scheme=scheme, calibration_rows=16)
        given = QuantizeIn(model=model or self.out.model, dataset=self.dataset, recipe=recipe)
        return quantize(given, self.tools).artifact


def train_small(folder: Path) -> Trained:
    tools = Tools(Connections(work=folder.as_uri(), registry="http://127.0.0.1:9", remote="none"))
    (folder / "data.jsonl").write_text("".join(json.dumps(_row(number)) + "\n" for number in range(600)))
    gate = DataGate(min_rows=100, holdout_share=0.1)
    data = validate(
        ValidateIn(model="m", environment="local", declaration=None, dataset=str(folder / "data.jsonl"), gate=gate),
        tools,
    )
    return Trained(tools, data.dataset, train(TrainIn(dataset=data.dataset, recipe=RECIPE), tools))


def _row(number: int) -> dict[str, object]:
    question, answer = f"What is {number} plus {number}?", f"The sum of {number} and {number} is {2 * number}."
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": str(number), "source": "arithmetic", "language": "en", "messages": messages}
