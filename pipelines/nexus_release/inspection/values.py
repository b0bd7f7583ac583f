"""Whether weights are numbers at all: no NaN, no infinity, no matrix of nothing but zeros."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nexus_release.inspection.fault import Fault, quoted
from nexus_release.inspection.weights import Tensor

if TYPE_CHECKING:
    import numpy

_BLOCK = 16 << 20  # bytes looked at in one go

# (unsigned type, bits of the exponent): a float whose exponent's bits are all set is infinite or no number (IEEE 754;
# E5M2 as well). E4M3 has no infinity and one no-number, of all bits but the sign's (OCP FP8, section 5.2).
_EXPONENTS: Mapping[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
    "F8_E4M3": ("u1", 0x7F),
}


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Raises Fault that names the tensor and its element."""
    for tensor in tensors.values():
        if tensor.dtype in _EXPONENTS:
            _check(tensor)


def _check(tensor: Tensor) -> None:
    kind, exponent = _EXPONENTS[tensor.dtype]
    zero, place = True, 0
    for block in _blocks(tensor, kind):
        wrong = (block & exponent) == exponent
        if wrong.any():
            raise Fault(tensor.file, f"{quoted(tensor.name)} is no number at element {place + int(wrong.argmax())}")
        zero = zero and not (block & ~_sign(kind)).any()
        place += len(block)
    if zero and place and len(tensor.shape) > 1 and tensor.name.endswith(".weight"):
        raise Fault(tensor.file, f"{quoted(tensor.name)} is nothing but zeros")


def _blocks(tensor: Tensor, kind: str) -> Iterator[numpy.ndarray[Any, Any]]:
    import numpy

    with tensor.path.open("rb") as opened:
        opened.seek(tensor.begin)
        left = tensor.end - tensor.begin
        while left:
            data = opened.read(min(left, _BLOCK))
            if not data:
                raise Fault(tensor.file, f"ends within {quoted(tensor.name)}")
            left -= len(data)
            yield numpy.frombuffer(data, dtype=kind)


def _sign(kind: str) -> Any:
    """The sign's bit, so that minus zero is zero too."""
    import numpy

    kinds = numpy.dtype(kind)
    return kinds.type(1 << (kinds.itemsize * 8 - 1))
