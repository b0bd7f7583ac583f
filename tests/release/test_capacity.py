"""The planner: known models, and what must hold for any model on any machine."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_release.capacity.gpus import GPUS, GpuModel
from nexus_release.capacity.kernels import kernels
from nexus_release.capacity.planner import BLOCK, Placement, place
from nexus_release.capacity.shape import GROUP, ModelShape, cache_bytes_per_token, shape_of_config, weight_bytes
from nexus_release.capacity.target import FitGate, Target
from nexus_release.errors import BadInput
from nexus_release.schemes import Scheme

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
GATE = FitGate(weight_only="allow")
LLAMA_8B = ModelShape(
    layers=32,
    hidden=4096,
    intermediate=14336,
    heads=32,
    kv_heads=8,
    head=128,
    vocabulary=128256,
    context=131072,
    tied=False,
    width=2,
)
LLAMA_70B = LLAMA_8B.model_copy(update={"layers": 80, "hidden": 8192, "intermediate": 28672, "heads": 64})


def target(gpu: GpuModel | None = "H100-80GB", gpus: int = 1, **changes: int) -> Target:
    fields = {"gpu_memory_percent": 90, "memory": 32 << 30, "context_tokens": 8192, "concurrency": 16, **changes}
    return Target(runtime="nexus-vllm" if gpu else "nexus-worker", gpu=gpu, gpus=gpus, **fields)


def test_parameters_are_those_that_are_published() -> None:
    """Llama 3's 8B and 70B, as their checkpoints' indexes have them."""
    assert LLAMA_8B.parameters == 8_030_261_248
    assert LLAMA_70B.parameters == 70_553_706_496
    assert cache_bytes_per_token(LLAMA_8B, 8, 2) == 128 * 1024


def test_each_scheme_stores_what_it_says() -> None:
    linear = LLAMA_8B.parameters - LLAMA_8B.unquantized
    rest = LLAMA_8B.unquantized * 2
    assert weight_bytes(LLAMA_8B, None) == LLAMA_8B.parameters * 2
    assert weight_bytes(LLAMA_8B, "W8A8") == pytest.approx(linear + rest, rel=1e-3)
    assert weight_bytes(LLAMA_8B, "W4A16") == pytest.approx(linear / 2 * (1 + 4 / GROUP) + rest, rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "scheme", "on", "parallel", "context"),
    [
        (LLAMA_8B, "FP8_DYNAMIC", target("H100-80GB"), 1, 8192),
        (LLAMA_8B, "W4A16", target("L4", concurrency=8), 1, 8192),
        (LLAMA_70B, "FP8_DYNAMIC", target("H100-80GB", 8), 2, 8192),
        (LLAMA_70B, "W4A16", target("A100-80GB", 4, concurrency=4), 1, 8192),
        (LLAMA_70B, "FP8_DYNAMIC", target("B200", 8), 1, 8192),
    ],
)
def test_known_models_get_the_fewest_gpus_that_hold_them(
    shape: ModelShape, scheme: Scheme, on: Target, parallel: int, context: int
) -> None:
    found = place(shape, scheme, on, GATE)
    assert (found.refusal, found.tensor_parallel, found.context_tokens) == ("", parallel, context)


def test_where_memory_ends_the_context_is_shorter_and_still_whole_pages() -> None:
    found = place(LLAMA_8B, "FP8_DYNAMIC", target("L4"), GATE)
    assert found.refusal == ""
    assert GATE.min_context_tokens <= found.context_tokens < 8192
    assert found.context_tokens % BLOCK == 0
    assert found.available - found.needed < 16 * BLOCK * 128 * 1024


def test_what_does_not_fit_is_refused_with_its_figures() -> None:
    found = place(LLAMA_70B, "FP8_DYNAMIC", target("L4", 2), GATE)
    assert "0 tokens of context are possible for 16 requests at once on " in found.refusal
    assert "2 x L4, 512 are asked for" in found.refusal, "the most that the pod has"
    assert "weights 33." in found.refusal
    assert "of 19.78 GiB" in found.refusal


SUPPORT: list[tuple[Scheme, GpuModel, str]] = [
    ("FP8_DYNAMIC", "A100-80GB", "weight-only"),
    ("FP8_DYNAMIC", "L4", "native"),
    ("FP8_DYNAMIC", "B200", "native"),
    ("W8A8", "T4", "native"),
    ("W8A8", "H200", "native"),
    ("W8A8", "B200", "none"),
    ("W8A8", "B300", "none"),
    ("W4A16", "T4", "none"),
    ("W4A16", "A10", "native"),
    ("W4A16", "B300", "native"),
]


@pytest.mark.parametrize(("scheme", "gpu", "found"), SUPPORT)
def test_schemes_run_where_vllm_has_kernels_for_them(scheme: Scheme, gpu: GpuModel, found: str) -> None:
    assert kernels(scheme, GPUS[gpu].capability) == found
    strict, lenient = (
        place(LLAMA_8B, scheme, target(gpu, 8, concurrency=1), FitGate(weight_only=how)) for how in ("refuse", "allow")
    )
    assert bool(strict.refusal) == (found != "native")
    assert bool(lenient.refusal) == (found == "none")
    assert (f"{scheme} computes on compute capability" in strict.refusal) == (found != "native")


FOUND: dict[GpuModel, float] = {"T4": 14.56, "L4": 22.03, "L40S": 44.40}
"""GiB that PyTorch names as total capacity where it runs out of memory on one."""


@pytest.mark.parametrize("gpu", FOUND)
def test_no_gpu_is_planned_with_more_memory_than_cuda_finds_there(gpu: GpuModel) -> None:
    assert FOUND[gpu] * 0.98 < GPUS[gpu].memory / 2**30 <= FOUND[gpu]


def test_the_cpu_is_asked_for_memory_alone() -> None:
    tiny = LLAMA_8B.model_copy(update={"layers": 2, "hidden": 256, "heads": 4, "kv_heads": 2, "intermediate": 512})
    assert place(tiny, "W8A8", target(None, concurrency=2), FitGate()).refusal == ""
    found = place(LLAMA_8B, "W8A8", target(None), FitGate())
    assert "on the pod" in found.refusal
    assert found.weights == 4 * LLAMA_8B.parameters  # our worker decodes to float32


shapes = st.builds(
    lambda layers, kv, repeat, head, intermediate, vocabulary, context, tied, width: ModelShape(
        layers=layers,
        hidden=kv * repeat * head,
        intermediate=intermediate * 128,
        heads=kv * repeat,
        kv_heads=kv,
        head=head,
        vocabulary=vocabulary,
        context=context,
        tied=tied,
        width=width,
    ),
    st.integers(1, 96),
    st.sampled_from([1, 2, 3, 4, 8]),
    st.integers(1, 12),
    st.sampled_from([64, 128]),
    st.integers(1, 256),
    st.integers(1000, 200_000),
    st.integers(16, 131_072),
    st.booleans(),
    st.sampled_from([2, 4]),
)
targets = st.builds(
    target,
    st.sampled_from(get_args(GpuModel)),
    st.integers(1, 16),
    context_tokens=st.integers(16, 65_536),
    concurrency=st.integers(1, 256),
)
schemes = st.sampled_from(SCHEMES)


@given(shapes, schemes, targets)
def test_what_is_placed_fits_and_can_be_split(shape: ModelShape, scheme: Scheme, on: Target) -> None:
    found = place(shape, scheme, on, GATE)
    assert 1 <= found.tensor_parallel <= on.gpus
    assert shape.heads % found.tensor_parallel == 0
    assert shape.intermediate % found.tensor_parallel == 0
    assert 0 <= found.context_tokens <= min(on.context_tokens, shape.context)
    if found.refusal == "":
        assert found.needed <= found.available
        assert found.context_tokens >= GATE.min_context_tokens
        if scheme == "W4A16" and found.tensor_parallel > 1:
            assert shape.intermediate // found.tensor_parallel % GROUP == 0


def better(one: Placement, other: Placement) -> bool:
    """Whether `one` serves at least what `other` serves."""
    return one.context_tokens >= other.context_tokens


@given(shapes, schemes, targets)
def test_more_of_anything_never_serves_less(shape: ModelShape, scheme: Scheme, on: Target) -> None:
    found = place(shape, scheme, on, GATE)
    assert better(place(shape, scheme, on.model_copy(update={"gpus": on.gpus + 1}), GATE), found)
    assert better(place(shape, scheme, on.model_copy(update={"gpu_memory_percent": 95}), GATE), found)
    assert better(found, place(shape, scheme, on.model_copy(update={"concurrency": on.concurrency * 2}), GATE))


@given(shapes, schemes, targets)
def test_no_fewer_gpus_would_do(shape: ModelShape, scheme: Scheme, on: Target) -> None:
    found = place(shape, scheme, on, GATE)
    if found.tensor_parallel > 1:
        fewer = place(shape, scheme, on.model_copy(update={"gpus": found.tensor_parallel - 1}), GATE)
        assert fewer.context_tokens < found.context_tokens


@given(shapes, schemes, targets)
def test_a_context_that_was_cut_is_the_longest_that_fits(shape: ModelShape, scheme: Scheme, on: Target) -> None:
    found = place(shape, scheme, on, GATE)
    if found.refusal == "" and found.context_tokens < min(on.context_tokens, shape.context):
        kv = max(1, shape.kv_heads // found.tensor_parallel)
        page = BLOCK * on.concurrency * cache_bytes_per_token(shape, kv, 2)
        assert found.needed + page > found.available


@given(shapes)
def test_fewer_bits_are_fewer_bytes(shape: ModelShape) -> None:
    four, eight, whole = (weight_bytes(shape, scheme) for scheme in ("W4A16", "W8A8", None))
    assert four < eight < whole
    assert weight_bytes(shape, "FP8_DYNAMIC") == eight


CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 1024,
    "torch_dtype": "float32",
}


def test_a_configuration_says_the_shape_and_what_it_leaves_out_follows() -> None:
    found = shape_of_config(CONFIG, "base")
    assert (found.kv_heads, found.head, found.tied, found.width) == (4, 32, False, 4)
    assert shape_of_config({**CONFIG, "num_key_value_heads": 2, "head_dim": 64}, "base").head == 64


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_hidden_layers": None}, "base: config.json: num_hidden_layers"),
        ({"hidden_size": "128"}, "base: config.json: hidden_size"),
        ({"vocab_size": True}, "base: config.json: vocab_size"),
        ({"num_experts": 8}, "base: config.json: num_experts"),
        ({"kv_lora_rank": 512}, "base: config.json: kv_lora_rank"),
    ],
)
def test_a_configuration_that_cannot_be_counted_is_refused_by_its_field(change: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput) as refused:
        shape_of_config({**CONFIG, **change}, "base")
    assert refused.value.field == named


def test_a_placement_is_refused_or_not_by_the_gate_alone() -> None:
    """The same figures under a stricter gate: what changes is the verdict."""
    found = place(LLAMA_8B, "FP8_DYNAMIC", target("L4"), GATE)
    strict = place(LLAMA_8B, "FP8_DYNAMIC", target("L4"), FitGate(min_context_tokens=8192))
    assert replace(strict, refusal="") == found
    assert "8192 are asked for" in strict.refusal
