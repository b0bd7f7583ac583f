"""How a model is spread over a pod's devices: the fewest GPUs that hold it, and the longest context that fits then.

Memory of one device is weights, cache, working memory and a reserve. The figures are estimates that err upwards; the
engine measures for itself when it starts, and takes what is left for its cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nexus_release.capacity.gpus import GPUS
from nexus_release.capacity.kernels import SUPPORT, kernels
from nexus_release.capacity.shape import GROUP, ModelShape, cache_bytes_per_token, weight_bytes
from nexus_release.capacity.target import FitGate, Target
from nexus_release.schemes import Scheme

BLOCK = 16  # tokens of one page of vLLM's cache; a sequence takes whole pages
_BATCH = 8192  # tokens that vLLM computes at once, at most by its own defaults
_MIB, _GIB = 1 << 20, 1 << 30
_GPU_RESERVE = 2 * _GIB  # CUDA's context and libraries, captured graphs, NCCL's buffers, fragmentation
_WORKER_RESERVE = 256 * _MIB  # interpreter, tokenizer, numpy
_VLLM_CPU_RESERVE = 2 * _GIB  # the same with torch
_CPU_PERCENT = 90  # of the pod's memory; above it the kernel ends the pod
_FLOAT32, _FLOAT16 = 4, 2
_FLOATING = ("nexus-worker", "nexus-bentoml")  # the same engine, which decodes everything to float32


@dataclass(frozen=True)
class Placement:
    """What one device holds, in bytes, and what follows for the engine's options."""

    tensor_parallel: int
    context_tokens: int
    """0 where not even one page fits."""
    weights: int
    cache: int
    working: int
    reserve: int
    available: int
    refusal: str
    """Why it does not run there; empty where it does."""

    @property
    def needed(self) -> int:
        return self.weights + self.cache + self.working + self.reserve


def place(shape: ModelShape, scheme: Scheme, target: Target, gate: FitGate) -> Placement:
    """The best placement, or one with a `refusal`."""
    wished = min(target.context_tokens, shape.context)
    tried = [_longest(shape, scheme, target, parallel, wished) for parallel in _spreads(shape, scheme, target)]
    longest = max(tried, key=lambda one: (one.context_tokens, -one.needed))
    chosen = next((one for one in tried if one.context_tokens == wished), longest)
    return replace(chosen, refusal=_refusal(chosen, scheme, target, gate))


def place_on_all(shape: ModelShape, scheme: Scheme, target: Target, gate: FitGate) -> Placement:
    """The placement on exactly `target.gpus`, or one with a `refusal`."""
    wished = min(target.context_tokens, shape.context)
    chosen = _longest(shape, scheme, target, target.gpus, wished)
    if target.gpus not in _spreads(shape, scheme, target):
        possible = ", ".join(map(str, _spreads(shape, scheme, target)))
        return replace(chosen, refusal=f"its tensors cannot be split over {target.gpus} GPUs, but over {possible}")
    return replace(chosen, refusal=_refusal(chosen, scheme, target, gate))


def _spreads(shape: ModelShape, scheme: Scheme, target: Target) -> Iterator[int]:
    """Numbers of GPUs over which the tensors can be split, fewest first; 1 is always one of them."""
    for parallel in range(1, (target.gpus if target.gpu else 1) + 1):
        whole_heads = shape.heads % parallel == 0 and (
            shape.kv_heads % parallel == 0 or parallel % shape.kv_heads == 0  # fewer than GPUs are repeated
        )
        whole_rows = shape.intermediate % parallel == 0
        groups = scheme != "W4A16" or all(
            width // parallel % GROUP == 0 for width in (shape.intermediate, shape.heads * shape.head)
        )
        if parallel == 1 or (whole_heads and whole_rows and groups):
            yield parallel


def _longest(shape: ModelShape, scheme: Scheme, target: Target, parallel: int, wished: int) -> Placement:
    """With the longest context up to `wished` that leaves room for every request at once."""
    whole = _placed(shape, scheme, target, parallel, wished)
    if whole.needed <= whole.available:
        return whole
    empty = _placed(shape, scheme, target, parallel, 0)
    page = _cache(shape, target, parallel, BLOCK)
    pages = max(0, empty.available - empty.needed) // page
    context = min(pages * BLOCK, wished)
    # Where not even one page fits, the figures of one page say what is missing.
    return replace(_placed(shape, scheme, target, parallel, context or BLOCK), context_tokens=context)


def _placed(shape: ModelShape, scheme: Scheme, target: Target, parallel: int, context: int) -> Placement:
    return Placement(
        tensor_parallel=parallel,
        context_tokens=context,
        weights=_weights(shape, scheme, target, parallel),
        cache=_cache(shape, target, parallel, context),
        working=_working(shape, target, parallel),
        reserve=_reserve(target),
        available=_available(target),
        refusal="",
    )


def _reserve(target: Target) -> int:
    if target.gpu is not None:
        return _GPU_RESERVE
    return _WORKER_RESERVE if target.runtime in _FLOATING else _VLLM_CPU_RESERVE


def _available(target: Target) -> int:
    if target.gpu is None:
        return target.memory * _CPU_PERCENT // 100
    return GPUS[target.gpu].memory * target.gpu_memory_percent // 100


def _weights(shape: ModelShape, scheme: Scheme, target: Target, parallel: int) -> int:
    """Our own worker decodes everything to float32. Keys' and values' matrices are repeated where GPUs outnumber their
    heads."""
    if target.runtime in _FLOATING:
        return shape.parameters * _FLOAT32
    repeated = shape.layers * 2 * shape.head * shape.hidden * shape.width * max(0, parallel - shape.kv_heads)
    return -(-(weight_bytes(shape, scheme) + repeated) // parallel)


def _cache(shape: ModelShape, target: Target, parallel: int, context: int) -> int:
    """Of all requests at once, each of `context` tokens."""
    tokens = -(-context // BLOCK) * BLOCK * target.concurrency
    return tokens * cache_bytes_per_token(shape, max(1, shape.kv_heads // parallel), _number(target))


def _working(shape: ModelShape, target: Target, parallel: int) -> int:
    """The widest moment of a layer for one batch of tokens (the residual twice, a norm of it and an output beside the
    MLP's two halves), and each request's logits in float32, twice for sampling."""
    tokens = min(_BATCH, min(target.context_tokens, shape.context) * target.concurrency)
    layer = (4 * shape.hidden + 2 * -(-shape.intermediate // parallel)) * _number(target)
    return tokens * layer + 2 * target.concurrency * shape.vocabulary * _FLOAT32


def _number(target: Target) -> int:
    return _FLOAT32 if target.runtime in _FLOATING else _FLOAT16


def _refusal(placement: Placement, scheme: Scheme, target: Target, gate: FitGate) -> str:
    if problem := _kernel_problem(scheme, target, gate):
        return problem
    if placement.context_tokens < gate.min_context_tokens:
        where = f"{placement.tensor_parallel} x {target.gpu}" if target.gpu else "the pod"
        return (
            f"{placement.context_tokens} tokens of context are possible for {target.concurrency} requests at once on "
            f"{where}, {gate.min_context_tokens} are asked for: one device would hold {_gib(placement.needed)} "
            f"(weights {_gib(placement.weights)}, cache {_gib(placement.cache)}, working memory "
            f"{_gib(placement.working)}, reserve {_gib(placement.reserve)}) of {_gib(placement.available)}"
        )
    return ""


def _kernel_problem(scheme: Scheme, target: Target, gate: FitGate) -> str:
    if target.gpu is None:
        return ""
    capability = GPUS[target.gpu].capability
    found = kernels(scheme, capability)
    if found == "native" or (found == "weight-only" and gate.weight_only == "allow"):
        return ""
    (least, most), has = SUPPORT[scheme].native, ".".join(map(str, capability))
    wanted = f"{least[0]}.{least[1]}" + ("" if most[0] > 90 else f" to {most[0]}.{most[1]}")
    hint = "; it would run weight-only, which gates.fit.weight_only allows" if found == "weight-only" else ""
    return f"{scheme} computes on compute capability {wanted}, {target.gpu} has {has}{hint}"


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
