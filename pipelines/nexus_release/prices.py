"""What an hour of a machine costs in an environment: `prices` of its settings. Exact decimals, nothing rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, model_validator

from nexus_release.capacity.gpus import GpuModel
from nexus_release.frozen import Section
from nexus_release.kubernetes_values import cpu_cores, memory_bytes
from nexus_release.names import ModelName

if TYPE_CHECKING:
    from nexus_release.config import Settings

HOURS_A_MONTH = 730
"""365 days of 24 hours, by twelve: the month by which clouds quote prices."""

Money = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$")]
"""A decimal in quotes, so that no reader of YAML makes a binary fraction of it: `"2.50"`."""


class MonthlyBudgets(Section):
    """What may be spent in a month of 730 hours; an alert tells when the current rate would exceed it."""

    environment: Money | None
    """All models together; null sets no bound."""
    models: dict[ModelName, Money] = Field(default_factory=dict)
    """By the model's alias; a model that is not named has no bound of its own."""


class TokenWeights(Section):
    """How much of a pod's work a token is, beside others of the same slot. Only their proportion counts."""

    prompt: Money
    """A token of the prompt that the engine had not kept: it is computed, many at once."""
    cached: Money
    """One that it had kept."""
    completion: Money
    """A token of the answer: each takes a step of its own."""

    @model_validator(mode="after")
    def _weigh(self) -> TokenWeights:
        if not Decimal(self.completion) or not Decimal(self.prompt):
            raise ValueError("prompt and completion weigh nothing: give both a weight above 0")
        return self


class Prices(Section):
    """What is paid for, whether it computes or waits."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    """ISO 4217. Nothing is converted: an environment has one currency."""
    gpu_hour: dict[GpuModel, Money]
    """One GPU for an hour. The environment's own GPU must be named."""
    cpu_core_hour: Money
    """One core for an hour; `"0"` where the GPU's price has the node's cores in it."""
    memory_gib_hour: Money
    """One GiB of memory for an hour; `"0"` as above."""
    token_weights: TokenWeights
    """By which tenants share what a release costs."""
    budgets: MonthlyBudgets
    """Above which an alert is raised; nothing is stopped."""


def pod_hour(settings: Settings, gpus: int) -> Decimal:
    """What one pod of an engine costs in an hour: its GPUs, and the cores and memory that it asks for.

    `gpus` is what the model was given (`Placement.tensor_parallel`); it counts for nothing where GPUs are off.
    """
    prices, asked = settings.prices, settings.resources
    of_gpus = gpus * Decimal(prices.gpu_hour[settings.gpu.model]) if settings.gpu.enabled else Decimal(0)
    of_cores = cpu_cores(asked.cpu) * Decimal(prices.cpu_core_hour)
    of_memory = Decimal(memory_bytes(asked.memory)) / (1 << 30) * Decimal(prices.memory_gib_hour)
    return of_gpus + of_cores + of_memory


def monthly(hour: Decimal, pods: int = 1) -> Decimal:
    """What `pods` at that price an hour cost in a month."""
    return hour * pods * HOURS_A_MONTH


def money_text(amount: Decimal, currency: str, places: int = 2) -> str:
    """`12.50 EUR`, half a unit rounded to even. Never in exponent notation."""
    return f"{amount:.{places}f} {currency}"
