"""How far a quantized tensor is from its base: pure functions over both, in numbers that name what is broken.

A good rounding moves each weight by at most half a step, so that errors are small, alike in every row, and in no
direction. A tensor that was shuffled, zeroed or given wrong scales stands out by its error, however good the rest is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nexus_release.ports import TensorPair

if TYPE_CHECKING:
    import numpy

_BLOCK = 1 << 22  # numbers looked at in one go: 32 MiB as float64
_NEGLIGIBLE = 1e-3
"""A row whose norm is below this share of the largest row's says nothing by its relative error."""


@dataclass(frozen=True)
class Fidelity:
    """One tensor. Shares are from 0 to 1."""

    name: str
    quantized: bool
    relative_error: float
    """Frobenius norm of the difference by that of the base; 1 where the base is zero and the other is not."""
    worst_row: float
    """The same for the row that is worst; 0 for what is no matrix."""
    cosine: float
    """Of both as vectors; 1 where both are zero."""
    largest_error: float
    """By the base's largest magnitude."""
    zeros: float
    """Share of numbers that are zero, where the base is not."""
    saturated: float
    """Share of stored numbers at an end of their range."""
    least_scale: float
    most_scale: float
    """Scales by what the base's largest weight under each asks for: 1 is a range that is used exactly. Both are 1 for
    what is not quantized."""


def fidelity(pair: TensorPair) -> Fidelity:
    """Of tensors of one shape, without NaN and infinity."""
    sums = _Sums()
    for base, other in _blocks(pair):
        sums.add(base, other)
    least, most = _scale_range(pair)
    return Fidelity(
        name=pair.name,
        quantized=pair.numbers is not None,
        relative_error=sums.relative_error,
        worst_row=sums.worst_row() if pair.base.ndim > 1 else 0.0,
        cosine=sums.cosine,
        largest_error=_ratio(sums.largest_error, sums.largest),
        zeros=_ratio(sums.new_zeros, sums.count),
        saturated=_saturated(pair),
        least_scale=least,
        most_scale=most,
    )


def identical(pair: TensorPair) -> bool:
    import numpy

    return bool(numpy.array_equal(pair.base, pair.candidate))


class _Sums:
    """Over blocks of rows, in float64."""

    def __init__(self) -> None:
        self.base = self.other = self.product = self.difference = 0.0
        self.largest = self.largest_error = 0.0
        self.new_zeros = self.count = 0
        self._rows: list[numpy.ndarray[Any, Any]] = []

    def add(self, base: numpy.ndarray[Any, Any], other: numpy.ndarray[Any, Any]) -> None:
        import numpy

        before, after = base.astype(numpy.float64), other.astype(numpy.float64)
        moved = after - before
        norms, errors = numpy.square(before).sum(axis=1), numpy.square(moved).sum(axis=1)
        self._rows.append(numpy.stack([norms, errors]))
        self.base += float(norms.sum())
        self.difference += float(errors.sum())
        self.other += float(numpy.square(after).sum())
        self.product += float((before * after).sum())
        self.largest = max(self.largest, float(abs(before).max(initial=0)))
        self.largest_error = max(self.largest_error, float(abs(moved).max(initial=0)))
        self.new_zeros += int(((after == 0) & (before != 0)).sum())
        self.count += before.size

    @property
    def relative_error(self) -> float:
        return _ratio(self.difference**0.5, self.base**0.5)

    @property
    def cosine(self) -> float:
        if self.base == 0 or self.other == 0:
            return float(self.base == self.other)
        return float(self.product / (self.base**0.5 * self.other**0.5))

    def worst_row(self) -> float:
        import numpy

        norms, errors = numpy.sqrt(numpy.concatenate(self._rows, axis=1))
        largest = float(norms.max(initial=0))
        if largest == 0:
            return float(errors.any())
        return float((errors / numpy.maximum(norms, largest * _NEGLIGIBLE)).max(initial=0))


def _blocks(pair: TensorPair) -> Iterator[tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]]:
    """Blocks of whole rows; a vector is one row."""
    columns = pair.base.shape[-1] if pair.base.ndim else 1
    base, other = (side.reshape(-1, max(1, columns)) for side in (pair.base, pair.candidate))
    step = max(1, _BLOCK // max(1, columns))
    for start in range(0, len(base), step):
        yield base[start : start + step], other[start : start + step]


def _saturated(pair: TensorPair) -> float:
    if pair.numbers is None:
        return 0.0
    least, most = pair.range
    return _ratio(float(((pair.numbers <= least) | (pair.numbers >= most)).sum()), pair.numbers.size)


def _scale_range(pair: TensorPair) -> tuple[float, float]:
    """A scale is the largest magnitude under it by half the range (compressed-tensors, `calculate_qparams`)."""
    import numpy

    if pair.numbers is None or pair.scales is None:
        return 1.0, 1.0
    scales = numpy.broadcast_to(pair.scales, pair.base.shape)
    if pair.group is None:
        largest = abs(pair.base).max(axis=1, initial=0) if pair.scales.size > 1 else abs(pair.base).max(initial=0)
        used = scales[:, 0] if pair.scales.size > 1 else scales[0, 0]
    else:
        starts = numpy.arange(0, pair.base.shape[1], pair.group)
        largest, used = numpy.maximum.reduceat(abs(pair.base), starts, axis=1), scales[:, starts]
    half = (pair.range[1] - pair.range[0]) / 2
    ratios = (used.astype(numpy.float64) * half)[largest > 0] / largest[largest > 0]
    return (float(ratios.min()), float(ratios.max())) if ratios.size else (1.0, 1.0)


def _ratio(part: float, whole: float) -> float:
    if whole == 0:
        return float(part != 0)
    return part / whole
