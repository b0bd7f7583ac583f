"""Values of settings in the one form that an API server would leave alone."""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _canonical_cpu(value: str) -> str:
    if value.endswith("m") and int(value[:-1]) % 1000 == 0:
        raise ValueError(f"write {int(value[:-1]) // 1000}: an API server would rewrite it, and Argo CD see a drift")
    return value


def _canonical_memory(value: str) -> str:
    number, unit = int(value[:-2]), value[-2:]
    if unit != "Ti" and number % 1024 == 0:
        larger = {"Mi": "Gi", "Gi": "Ti"}[unit]
        raise ValueError(f"write {number // 1024}{larger}: an API server would rewrite it, and Argo CD see a drift")
    return value


def _canonical_cidr(value: str) -> str:
    network = ipaddress.ip_network(value, strict=False)
    if str(network) != value:
        raise ValueError(f"write {network}")
    return value


Label = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")]
Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Cpu = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*m?$"), AfterValidator(_canonical_cpu)]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$"), AfterValidator(_canonical_memory)]
Image = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._:/-]*(:[\w.-]+)?@sha256:[0-9a-f]{64}$")]
Artifacts = Annotated[
    str,
    StringConstraints(
        pattern=r"^(pvc|s3|gs)://[a-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)*$"
    ),
]
QualifiedName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Cidr = Annotated[str, AfterValidator(_canonical_cidr)]


def memory_bytes(amount: str) -> int:
    """Of `512Mi`, `16Gi` or `1Ti`."""
    return int(amount[:-2]) << {"Mi": 20, "Gi": 30, "Ti": 40}[amount[-2:]]


def cpu_cores(amount: str) -> Decimal:
    """Of `4` or `500m`."""
    return Decimal(amount[:-1]) / 1000 if amount.endswith("m") else Decimal(amount)
