"""What an hour of one of an engine's places costs, by the environment's settings.

A pod answers `serving.concurrency` requests at once, so that one that is being answered holds a place of so much of the
pod. It is the rate by which `nexus canary` prices answers too; what pods cost while they wait is in `nexus cost` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nexus_gateway.config_errors import first_error
from nexus_gateway.console.checkout import Checkout, Unreadable

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|Ki|Mi|Gi|Ti|k|M|G|T)?")
_BINARY, _DECIMAL = ("Ki", "Mi", "Gi", "Ti"), ("k", "M", "G", "T")
_UNITS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1024**power) for power, unit in enumerate(_BINARY, 1)},
    **{unit: Decimal(1000**power) for power, unit in enumerate(_DECIMAL, 1)},
}
_GIB = Decimal(1 << 30)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Prices(_Section):
    currency: str
    gpu_hour: dict[str, Decimal]
    cpu_core_hour: Decimal
    memory_gib_hour: Decimal
    token_weights: dict[str, Decimal]


class _Gpu(_Section):
    enabled: bool
    model: str
    count: int


class _Resources(_Section):
    cpu: Annotated[str, Field(pattern=f"^{_QUANTITY.pattern}$")]
    memory: Annotated[str, Field(pattern=f"^{_QUANTITY.pattern}$")]


class _Serving(_Section):
    concurrency: Annotated[int, Field(ge=1)]


class _Paid(_Section):
    prices: _Prices
    gpu: _Gpu
    resources: _Resources
    serving: _Serving


@dataclass(frozen=True)
class Prices:
    currency: str
    place_hour: Decimal
    token_weights: Mapping[str, Decimal]


def prices_of(checkout: Checkout) -> Prices | None:
    """None where the environment gives none. Raises Unreadable."""
    sections = {name: checkout.settings(name) for name in _Paid.model_fields}
    if not sections["prices"]:
        return None
    try:
        paid = _Paid.model_validate(sections)
        gpus = paid.gpu.count * paid.prices.gpu_hour[paid.gpu.model] if paid.gpu.enabled else Decimal(0)
    except ValidationError as error:
        raise Unreadable(f"environments/{checkout.environment}: {first_error(error)}") from None
    except KeyError:
        raise Unreadable(f"environments/{checkout.environment}: prices.gpu_hour does not name its GPU") from None
    cores = _quantity(paid.resources.cpu) * paid.prices.cpu_core_hour
    memory = _quantity(paid.resources.memory) / _GIB * paid.prices.memory_gib_hour
    return Prices(paid.prices.currency, (gpus + cores + memory) / paid.serving.concurrency, paid.prices.token_weights)


def _quantity(text: str) -> Decimal:
    """As Kubernetes writes it."""
    found = _QUANTITY.fullmatch(text)
    assert found is not None  # noqa: S101 - narrows for mypy; the settings' schema has the same pattern
    return Decimal(found[1]) * _UNITS[found[2]]
