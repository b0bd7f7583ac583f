"""train -> quantize -> evaluate on a small real model: deterministic, and a broken checkpoint is refused."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Artifact
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut, QualityGate, evaluate
from nexus_release.steps.quantize import QuantizeIn, QuantizeRecipe, Scheme, quantize
from nexus_release.steps.train import TrainIn, TrainOut, TrainRecipe, train
from nexus_release.steps.validate import DataGate, ValidateIn, validate
from nexus_release.wiring import Connections, Tools

pytestmark = pytest.mark.train

RECIPE = TrainRecipe(
    steps=30, batch_rows=8, sequence_tokens=64, vocabulary=512, hidden=128, intermediate=256, layers=2, heads=4,
    kv_heads=2, context_tokens=512,
)  # fmt: skip


@dataclass
class Made:
    tools: Tools
    dataset: str
    trained: TrainOut


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("models")
    tools = Tools(Connections(work=folder.as_uri(), registry="http://127.0.0.1:9", remote="none"))
    rows = [
        {"id": str(n), "language": "en", "messages": [
            {"role": "user", "content": f"What is {n} plus {n}?"},
            {"role": "assistant", "content": f"The sum of {n} and {n} is {2 * n}."},
        ]}
        for n in range(600)
    ]  # fmt: skip
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    gate = DataGate(min_rows=100, holdout_share=0.1)
    out = validate(ValidateIn(model="m", dataset=str(folder / "data.jsonl"), gate=gate), tools)
    return Made(tools, out.dataset, train(TrainIn(dataset=out.dataset, recipe=RECIPE), tools))


def quantized(made: Made, scheme: Scheme) -> Artifact:
    recipe = QuantizeRecipe(scheme=scheme, calibration_rows=16)
    return quantize(QuantizeIn(model=made.trained.model, dataset=made.dataset, recipe=recipe), made.tools).artifact


def evaluated(made: Made, artifact: Artifact) -> EvaluateOut:
    given = EvaluateIn(
        base=made.trained.model, artifact=artifact, dataset=made.dataset, gate=QualityGate(resamples=200)
    )
    return evaluate(given, made.tools)


def test_training_learns_and_is_the_same_bytes_again(made: Made) -> None:
    assert float(made.trained.last_loss) < float(made.trained.first_loss) - 0.5
    again = train(TrainIn(dataset=made.dataset, recipe=RECIPE), made.tools)
    assert again == made.trained


def test_another_seed_is_another_model(made: Made) -> None:
    recipe = RECIPE.model_copy(update={"seed": 1, "steps": 1})
    assert train(TrainIn(dataset=made.dataset, recipe=recipe), made.tools).model.digest != made.trained.model.digest


def test_the_checkpoint_holds_no_code_and_no_pickle(made: Made) -> None:
    names = {path.suffix for path in made.tools.store.get(made.trained.model.digest).iterdir()}
    assert names <= {".safetensors", ".json", ".jinja", ".txt"}


def test_a_named_base_is_fine_tuned_or_taken_as_it_is(made: Made) -> None:
    base = made.tools.store.get(made.trained.model.digest).as_uri()
    as_is = train(
        TrainIn(dataset=made.dataset, recipe=RECIPE.model_copy(update={"base": base, "steps": 0})), made.tools
    )
    tuned = train(
        TrainIn(dataset=made.dataset, recipe=RECIPE.model_copy(update={"base": base, "steps": 5})), made.tools
    )
    assert as_is.source == tuned.source == made.trained.model.digest
    assert tuned.model.digest != as_is.model.digest


def test_a_base_with_code_of_its_own_is_refused(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.tools.store.get(made.trained.model.digest), tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))
    recipe = RECIPE.model_copy(update={"base": (tmp_path / "base").as_uri()})
    with pytest.raises(BadInput, match="auto_map"):
        train(TrainIn(dataset=made.dataset, recipe=recipe), made.tools)


@pytest.mark.parametrize(
    ("base", "error"),
    [("file:///no/such", Missing), ("scratch://gpt", BadInput), ("ftp://x/y", BadInput), ("hf://one", BadInput)],
)
def test_a_base_that_cannot_be_used_is_named(made: Made, base: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=base.removeprefix("file://")):
        train(TrainIn(dataset=made.dataset, recipe=RECIPE.model_copy(update={"base": base})), made.tools)


@pytest.mark.parametrize("scheme", ["FP8_DYNAMIC", "W8A8", "W4A16"])
def test_each_scheme_is_smaller_the_same_bytes_again_and_marked_for_vllm(made: Made, scheme: Scheme) -> None:
    artifact = quantized(made, scheme)
    assert artifact == quantized(made, scheme)
    assert artifact.bytes < made.trained.model.bytes
    folder = made.tools.store.get(artifact.digest)
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert (folder / "tokenizer.json").read_bytes() == (
        made.tools.store.get(made.trained.model.digest) / "tokenizer.json"
    ).read_bytes()


def test_a_good_quantization_passes_with_figures(made: Made) -> None:
    out = evaluated(made, quantized(made, "W8A8"))
    assert out.accepted, out.reason
    assert [metric.name for metric in out.metrics] == ["perplexity", "agreement"]
    assert out.engine.startswith("ctranslate2 ")
    assert out.compute_type == "float32"
    assert out == evaluated(made, quantized(made, "W8A8"))


def broken(made: Made, tmp_path: Path, damage: str) -> Artifact:
    """The quantized checkpoint with one tensor damaged in its file."""
    folder = tmp_path / "broken"
    shutil.copytree(made.tools.store.get(quantized(made, "W8A8").digest), folder)
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    begin, end = (8 + length + place for place in header["model.layers.1.mlp.down_proj.weight_scale"]["data_offsets"])
    match damage:
        case "disorder":  # every weight of two layers is another's
            for layer in (0, 1):
                weight = header[f"model.layers.{layer}.mlp.down_proj.weight"]["data_offsets"]
                first, last = (8 + length + place for place in weight)
                data[first:last] = data[first:last][::-1]
        case "nan":
            data[begin:end] = b"\xff" * (end - begin)
        case "cut":
            del data[-100:]
    path.write_bytes(bytes(data))
    return made.tools.store.put(folder)


def test_a_checkpoint_with_a_layer_in_disorder_is_refused_by_the_figures(made: Made, tmp_path: Path) -> None:
    out = evaluated(made, broken(made, tmp_path, "disorder"))
    assert not out.accepted
    assert out.reason.startswith("not as good as its base")
    assert not all(metric.passed for metric in out.metrics)


@pytest.mark.parametrize("damage", ["nan", "cut"])
def test_a_checkpoint_that_does_not_load_is_refused_and_no_crash(made: Made, tmp_path: Path, damage: str) -> None:
    out = evaluated(made, broken(made, tmp_path, damage))
    assert not out.accepted
    assert out.reason.startswith("the quantized checkpoint does not load")


def test_a_shape_that_a_scheme_cannot_group_is_named(made: Made) -> None:
    recipe = RECIPE.model_copy(update={"hidden": 96, "heads": 3, "kv_heads": 3, "steps": 0})
    odd = train(TrainIn(dataset=made.dataset, recipe=recipe), made.tools)
    given = QuantizeIn(model=odd.model, dataset=made.dataset, recipe=QuantizeRecipe(scheme="W4A16"))
    with pytest.raises(BadInput, match="hidden_size: 96"):
        quantize(given, made.tools)
