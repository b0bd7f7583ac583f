"""The gate on a checkpoint's bytes: what is damaged is refused by the tensor's name, what is good passes."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexus_release.fidelity import fidelity
from nexus_release.frozen import Artifact
from nexus_release.gates import REPORT
from nexus_release.ports import TensorPair
from nexus_release.record import Figure
from nexus_release.schemes import Scheme
from nexus_release.steps.fit import planned_shape
from nexus_release.steps.inspect import ArtifactGate, InspectIn, InspectOut, inspect
from nexus_release.steps.quantize import QuantizeRecipe

from ..support.damage import cut, damaged
from ..support.trained import RECIPE, Trained

pytestmark = pytest.mark.train

SCHEMES: tuple[Scheme, ...] = ("FP8_DYNAMIC", "W8A8", "W4A16")


def inspected(
    trained: Trained, artifact: Artifact, scheme: Scheme = "W8A8", gate: ArtifactGate | None = None, **shape: int
) -> InspectOut:
    given = InspectIn(
        base=trained.out.model,
        artifact=artifact,
        recipe=QuantizeRecipe(scheme=scheme),
        shape=planned_shape(RECIPE, trained.tools).model_copy(update=shape),
        gate=gate or ArtifactGate(),
    )
    return inspect(given, trained.tools)


def figure(out: InspectOut, name: str) -> Figure:
    (found,) = (one for one in out.figures if one.name == name)
    return found


def report(trained: Trained, out: InspectOut) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained.tools.store.get(out.evidence) / REPORT).read_text())
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_good_checkpoint_passes_with_room_and_every_tensor_is_in_the_evidence(
    trained: Trained, scheme: Scheme
) -> None:
    out = inspected(trained, trained.quantize(scheme), scheme)
    assert out.accepted, out.reason
    error = figure(out, "relative error")
    assert 0 < float(error.value) < 0.75 * float(error.most)
    assert figure(out, "quantized tensors").value == "14"  # seven matrices in each of two layers
    assert float(figure(out, "size by plan").value) == pytest.approx(1, abs=0.02)
    tensors = report(trained, out)["tensors"]
    assert len(tensors) == 14
    assert tensors[0]["name"] == error.subject
    assert out == inspected(trained, trained.quantize(scheme), scheme)


def zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def shuffled(data: bytes) -> bytes:
    values = list(data)
    random.Random(0).shuffle(values)
    return bytes(values)


def rows_swapped(data: bytes) -> bytes:
    half = len(data) // 2
    return data[half:] + data[:half]


def doubled(data: bytes) -> bytes:
    """bfloat16: one more in the exponent, which begins at bit 7."""
    values = [int.from_bytes(data[at : at + 2], "little") + (1 << 7) for at in range(0, len(data), 2)]
    return b"".join(value.to_bytes(2, "little") for value in values)


def first_quartered(data: bytes) -> bytes:
    """The first scale alone, as bfloat16."""
    return (int.from_bytes(data[:2], "little") - (2 << 7)).to_bytes(2, "little") + data[2:]


def first_negative(data: bytes) -> bytes:
    return bytes([data[0], data[1] | 0x80]) + data[2:]


def huge(data: bytes) -> bytes:
    """bfloat16: 2^127, by which no weight but the smallest can be multiplied."""
    return b"\x00\x7f" * (len(data) // 2)


MLP = "layers.1.mlp.up_proj.weight"
ABOUT_ONE = r"(0\.99[6-9]\d|1\.00[0-4])"
"""Each kind of processor trains other last digits: the weights of one that were 1.000 are 0.9999 on another."""
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {  # tensor, change, pattern in the refusal
    "a tensor's weights in disorder": (MLP, shuffled, f"relative error of model.{MLP}"),
    "a tensor's rows in other places": (MLP, rows_swapped, f"relative error of model.{MLP}"),
    "a tensor scaled": (f"{MLP}_scale", doubled, f"relative error of model.{MLP} {ABOUT_ONE}, "),
    "scales beyond what weights can be": (f"{MLP}_scale", huge, rf"model.{MLP}: 'scales up to 1\.7e\+38'"),
    "one row's scale wrong": (f"{MLP}_scale", first_quartered, f"row error of model.{MLP}"),
    "one row's sign wrong": (f"{MLP}_scale", first_negative, f"least scale of model.{MLP} -{ABOUT_ONE}, "),
    "the output projection in disorder": ("lm_head.weight", rows_swapped, "changed of lm_head.weight 1, at most 0"),
    "an embedding in disorder": ("embed_tokens.weight", rows_swapped, "changed of model.embed_tokens.weight"),
    "a norm doubled": ("layers.0.input_layernorm.weight", doubled, "changed of model.layers.0.input_layernorm.weight"),
    "a bias zeroed": ("layers.0.self_attn.q_proj.bias", zeroed, "changed of model.layers.0.self_attn.q_proj.bias"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_by_the_tensor_s_name(trained: Trained, tmp_path: Path, damage: str) -> None:
    tensor, change, named = DAMAGES[damage]
    good = trained.tools.store.get(trained.quantize("W8A8").digest)
    out = inspected(trained, trained.tools.store.put(damaged(good, tmp_path / "broken", tensor, change)))
    assert not out.accepted
    assert re.search(named, out.reason), out.reason
    assert report(trained, out)["refusal"] == out.reason


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_no_engine_could_use_is_refused_and_no_crash(trained: Trained, tmp_path: Path, scheme: Scheme) -> None:
    good = trained.tools.store.get(trained.quantize(scheme).digest)
    nothing = "down_proj.weight_packed" if scheme == "W4A16" else "down_proj.weight"
    gone = inspected(trained, trained.tools.store.put(damaged(good, tmp_path / "zeroed", nothing, zeroed)), scheme)
    short = inspected(trained, trained.tools.store.put(cut(good, tmp_path / "short")), scheme)
    assert (gone.accepted, short.accepted, short.figures) == (False, False, ())
    assert short.reason.startswith("the quantized checkpoint cannot be read: ")


def test_scales_that_are_no_numbers_are_refused(trained: Trained, tmp_path: Path) -> None:
    good = trained.tools.store.get(trained.quantize("W8A8").digest)
    broken = damaged(good, tmp_path / "broken", f"{MLP}_scale", lambda data: b"\xff" * len(data))
    out = inspected(trained, trained.tools.store.put(broken))
    assert not out.accepted
    assert "is no number" in out.reason


def test_a_checkpoint_of_another_scheme_is_refused_by_its_size(trained: Trained) -> None:
    out = inspected(trained, trained.quantize("W4A16"), "W8A8")
    assert not out.accepted
    assert not figure(out, "size by base").passed


def test_a_base_that_was_not_quantized_at_all_is_refused(trained: Trained) -> None:
    out = inspected(trained, trained.out.model)
    assert not out.accepted
    assert "quantized tensors 0, at least 1" in out.reason


def test_a_model_of_another_shape_than_planned_is_refused(trained: Trained) -> None:
    out = inspected(trained, trained.quantize("W8A8"), layers=3)
    assert out.reason == "it is of another shape than planned: layers 2 instead of 3"


def renamed(source: Path, into: Path, old: str, new: str) -> Path:
    """A copy in which a tensor has another name of the same length, in the header."""
    shutil.copytree(source, into)
    file = into / "model.safetensors"
    data = file.read_bytes()
    assert len(old) == len(new)
    assert data.count(old.encode()) == 1
    file.write_bytes(data.replace(old.encode(), new.encode()))
    return into


def test_tensors_that_are_not_the_base_s_are_named(trained: Trained, tmp_path: Path) -> None:
    good = trained.tools.store.get(trained.quantize("W8A8").digest)
    other = renamed(good, tmp_path / "renamed", "model.norm.weight", "model.nurm.weight")
    out = inspected(trained, trained.tools.store.put(other))
    assert out.reason == "1 tensors of the base are missing, first model.norm.weight"


def test_a_scheme_without_bounds_is_refused(trained: Trained) -> None:
    schemes = {name: bounds for name, bounds in ArtifactGate().schemes.items() if name != "W8A8"}
    out = inspected(trained, trained.quantize("W8A8"), gate=ArtifactGate(schemes=schemes))
    assert out.reason == "gates.artifact.schemes has no bounds for W8A8"


def rounded(base: np.ndarray[Any, Any], bits: int) -> TensorPair:
    """Rounded to the nearest, a scale for each row."""
    half = (2**bits - 1) / 2
    scales = abs(base).max(axis=1, keepdims=True) / half
    numbers = np.clip(np.round(base / scales), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return TensorPair("w", base, numbers * scales, numbers, scales, (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1))


@pytest.mark.parametrize(("bits", "error"), [(8, 0.0082), (4, 0.14)])
def test_rounding_s_error_is_what_its_step_makes(bits: int, error: float) -> None:
    """Uniform noise of one step has a deviation of step / sqrt(12); the step is max / half the range."""
    base = np.random.default_rng(0).normal(size=(512, 1024)).astype(np.float32)
    found = fidelity(rounded(base, bits))
    step = abs(base).max(axis=1).mean() / ((2**bits - 1) / 2)
    assert found.relative_error == pytest.approx(step / 12**0.5, rel=0.03)
    assert found.relative_error == pytest.approx(error, rel=0.2)
    assert found.relative_error < found.worst_row < 2 * found.relative_error
    assert found.cosine == pytest.approx(1 - found.relative_error**2 / 2, abs=found.relative_error**2 / 10)
    assert (found.least_scale, found.most_scale) == pytest.approx((1, 1))


def test_a_tensor_of_zeros_and_one_that_became_zeros_are_told_apart() -> None:
    zeros, ones = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    same, gone, made = (fidelity(TensorPair("w", *pair)) for pair in ((zeros, zeros), (ones, zeros), (zeros, ones)))
    assert (same.relative_error, same.cosine, same.zeros) == (0, 1, 0)
    assert (gone.relative_error, gone.cosine, gone.zeros) == (1, 0, 1)
    assert (made.relative_error, made.cosine) == (1, 0)


@pytest.mark.parametrize("base", [0.0, 1e-30])
def test_weights_where_the_base_has_next_to_none_are_measured_and_no_crash(base: float) -> None:
    numbers, scales = np.full((4, 8), 100, np.int8), np.full((4, 1), 1e30, np.float32)
    found = fidelity(
        TensorPair("w", np.full((4, 8), base, np.float32), numbers * scales, numbers, scales, (-127.0, 127.0))
    )
    assert found.relative_error >= 1
    assert found.worst_row >= 1
    assert np.isfinite([found.relative_error, found.worst_row, found.largest_error, found.most_scale]).all()
