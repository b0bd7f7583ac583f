"""Forms of stored weights that llm-compressor writes on request, decoded against the formula written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nexus_worker.checkpoint import BadCheckpoint, Checkpoint

from ..support.checkpoints import llama_tensors, write_llama

MODULE = "model.layers.0.self_attn.q_proj"
ROWS, COLUMNS = 128, 128
RANDOM = np.random.default_rng(1)


def stored(tmp_path: Path, weights: dict[str, Any], tensors: dict[str, Any]) -> Checkpoint:
    """A checkpoint in which one module is quantized, by the scheme that `weights` gives."""
    kind = "pack-quantized" if "weight_packed" in tensors else "naive-quantized"
    scheme = {"type": "int", "symmetric": True, "group_size": None, **weights}
    quantization = {
        "quant_method": "compressed-tensors",
        "format": kind,
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme, "input_activations": None}},
    }
    folder = write_llama(tmp_path / "model", quantization_config=quantization)
    others = {name: value for name, value in llama_tensors().items() if name != f"{MODULE}.weight"}
    save_file(
        {**others, **{f"{MODULE}.{name}": value for name, value in tensors.items()}}, folder / "model.safetensors"
    )
    return Checkpoint(folder)


def packed(numbers: Any, bits: int) -> Any:
    """Neighbours of a row in one word, the first in the lowest bits."""
    each, words = 32 // bits, np.zeros((ROWS, COLUMNS * bits // 32), np.uint32)
    for place in range(each):
        words |= (numbers[:, place::each] + 2 ** (bits - 1)).astype(np.uint32) << np.uint32(bits * place)
    return words.view(np.int32)


def test_one_scale_for_all(tmp_path: Path) -> None:
    numbers = RANDOM.integers(-127, 128, (ROWS, COLUMNS)).astype(np.int8)
    tensors = {"weight": numbers, "weight_scale": np.array([0.125], np.float32)}
    found = stored(tmp_path, {"num_bits": 8, "strategy": "tensor"}, tensors).matrix(MODULE, ROWS, COLUMNS)
    assert np.array_equal(found, numbers * np.float32(0.125))


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_words_with_a_scale_for_each_group(tmp_path: Path, bits: int) -> None:
    numbers = RANDOM.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (ROWS, COLUMNS))
    scale = RANDOM.random((ROWS, 4)).astype(np.float32)
    shape = np.array([ROWS, COLUMNS])
    tensors = {"weight_packed": packed(numbers, bits), "weight_scale": scale, "weight_shape": shape}
    scheme = {"num_bits": bits, "strategy": "group", "group_size": 32}
    found = stored(tmp_path, scheme, tensors).matrix(MODULE, ROWS, COLUMNS)
    assert np.array_equal(found, numbers.astype(np.float32) * np.repeat(scale, 32, axis=1))


def reordered(order: Any) -> dict[str, Any]:
    return {
        "weight_packed": packed(np.ones((ROWS, COLUMNS), np.int64), 4),
        "weight_scale": np.tile(np.array([1, 2, 3, 4], np.float32), (ROWS, 1)),
        "weight_shape": np.array([ROWS, COLUMNS]),
        "weight_g_idx": order,
    }


SCHEME = {"num_bits": 4, "strategy": "group", "group_size": 32}


def test_columns_that_were_reordered_have_the_scale_of_their_group(tmp_path: Path) -> None:
    order = RANDOM.permutation(np.repeat(np.arange(4), 32)).astype(np.int32)
    found = stored(tmp_path, SCHEME, reordered(order)).matrix(MODULE, ROWS, COLUMNS)
    assert np.array_equal(found, np.tile(order + 1, (ROWS, 1)))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("weight_g_idx", np.full(COLUMNS, 4, np.int32), "does not name one of 4 groups"),
        ("weight_g_idx", np.zeros(3, np.int32), "does not name one of 4 groups"),
        ("weight_shape", np.array([ROWS, 2**40]), "weight_shape is not [128, 128]"),
        ("weight_packed", np.zeros((ROWS, 15), np.int32), "does not hold [128, 128] of 4 bits"),
        ("weight_scale", np.ones((ROWS, 5), np.float32), "is no scale by group"),
        ("weight_scale", np.full((ROWS, 4), np.nan, np.float32), "holds NaN or infinity"),
    ],
    ids=["group", "columns", "shape", "words", "scales", "NaN"],
)
def test_tensors_that_do_not_fit_each_other_are_refused(tmp_path: Path, name: str, value: Any, problem: str) -> None:
    tensors = {**reordered(np.zeros(COLUMNS, np.int32)), name: value}
    with pytest.raises(BadCheckpoint) as refused:
        stored(tmp_path, SCHEME, tensors).matrix(MODULE, ROWS, COLUMNS)
    assert refused.value.file == "model.safetensors"
    assert problem in str(refused.value)


def test_a_quantized_module_goes_by_the_name_that_it_has_unquantized_and_is_told_apart(tmp_path: Path) -> None:
    numbers = RANDOM.integers(-8, 8, (ROWS, COLUMNS))
    scale, shape = RANDOM.random((ROWS, 4)).astype(np.float32), np.array([ROWS, COLUMNS])
    tensors = {"weight_packed": packed(numbers, 4), "weight_scale": scale, "weight_shape": shape}
    found = stored(tmp_path, {"num_bits": 4, "strategy": "group", "group_size": 32}, tensors)
    modules = found.modules()
    assert modules.keys() == llama_tensors().keys()
    assert [name for name, quantized in modules.items() if quantized] == [f"{MODULE}.weight"]
    decoded = found.quantized(MODULE, ROWS, COLUMNS)
    assert np.array_equal(decoded.numbers, numbers)
    assert np.array_equal(decoded.values, numbers.astype(np.float32) * np.repeat(scale, 32, axis=1))
    assert found.scheme is not None
    assert found.scheme.range == (-8, 7)
    assert np.array_equal(found.plain("lm_head.weight"), llama_tensors()["lm_head.weight"])
    plain = sum(value.nbytes for name, value in llama_tensors().items() if name != f"{MODULE}.weight")
    assert found.bytes() == plain + ROWS * COLUMNS // 2 + scale.nbytes + shape.nbytes
