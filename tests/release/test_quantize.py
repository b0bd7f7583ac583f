"""Quantization: what comes out is what vLLM loads, the same bytes again, and quiet."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_release.errors import BadInput
from nexus_release.schemes import Scheme
from nexus_release.steps.quantize import QuantizeIn, QuantizeRecipe

from ..support.trained import RECIPE, Trained

pytestmark = pytest.mark.train

AGAIN = """
import socket, sys
from nexus_release.steps.quantize import QuantizeIn, quantize
from nexus_release.wiring import Connections, Tools

def refuse(*address):
    raise AssertionError(f"the network was asked: {address}")

socket.socket.connect = socket.getaddrinfo = refuse
tools = Tools(Connections(work=sys.argv[1], registry="http://127.0.0.1:9", remote="none"))
for given in sys.argv[2:]:
    print(quantize(QuantizeIn.model_validate_json(given), tools).artifact.digest)
"""
SCHEMES: tuple[Scheme, ...] = ("FP8_DYNAMIC", "W8A8", "W4A16")
FORMATS = {"FP8_DYNAMIC": "float-quantized", "W8A8": "int-quantized", "W4A16": "pack-quantized"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_smaller_and_marked_for_vllm(trained: Trained, scheme: Scheme) -> None:
    artifact = trained.quantize(scheme)
    folder = trained.tools.store.get(artifact.digest)
    quantization = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert artifact.bytes < trained.out.model.bytes
    assert (quantization["quant_method"], quantization["format"]) == ("compressed-tensors", FORMATS[scheme])
    assert quantization["ignore"] == ["lm_head"]


def test_everything_beside_the_weights_is_the_base_s(trained: Trained) -> None:
    folder = trained.tools.store.get(trained.quantize("W8A8").digest)
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in trained.folder.iterdir()}
    for name in names - {"model.safetensors", "config.json"}:
        assert (folder / name).read_bytes() == (trained.folder / name).read_bytes(), name


def test_another_process_makes_the_same_bytes_without_the_network_and_says_nothing_else(trained: Trained) -> None:
    recipes = [QuantizeRecipe(scheme=scheme, calibration_rows=16) for scheme in SCHEMES]
    given = [
        QuantizeIn(model=trained.out.model, dataset=trained.dataset, recipe=recipe).model_dump_json()
        for recipe in recipes
    ]
    made = subprocess.run(
        [sys.executable, "-c", AGAIN, trained.tools.connections.work, *given],
        capture_output=True, check=True, text=True, env={"OMP_NUM_THREADS": "2", "HOME": "/nonexistent"},
    )  # fmt: skip
    assert made.stdout.splitlines() == [trained.quantize(scheme).digest for scheme in SCHEMES]
    assert made.stderr == ""


def test_columns_that_a_scheme_cannot_group_are_named(trained: Trained) -> None:
    odd = trained.train(RECIPE.model_copy(update={"intermediate": 160, "steps": 1}))
    with pytest.raises(BadInput, match=r"columns of model\.layers\.0\.mlp\.down_proj: 160"):
        trained.quantize("W4A16", model=odd.model)
    assert trained.quantize("FP8_DYNAMIC", model=odd.model).files == 6


def test_a_template_that_refuses_a_row_is_told_by_the_row(trained: Trained, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(trained.folder, base)
    (base / "chat_template.jinja").write_text("{{ raise_exception('only Klingon') }}")
    model = trained.tools.store.put(base)
    with pytest.raises(BadInput, match=r"row: '\d+' is refused.*only Klingon"):
        trained.quantize("W8A8", model=model)
