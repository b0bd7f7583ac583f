"""What machines cost: the settings' prices, and exact sums of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_release.config import Settings, load_settings
from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput
from nexus_release.prices import money_text, monthly, pod_hour

from ..support.releases import plant_environments

PRICES = {
    "currency": "USD",
    "gpu_hour": {"L4": "0.7", "H100-80GB": "3.10"},
    "cpu_core_hour": "0.041",
    "memory_gib_hour": "0.0053",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant_environments(tmp_path)
    return tmp_path


def settings_with(root: Path, **changes: Any) -> Settings:
    file = root / "environments" / "dev" / "settings.yaml"
    file.write_text(yaml_text((yaml.safe_load(file.read_text()) or {}) | changes))
    return load_settings(root, "dev")


def test_an_hour_of_a_pod_is_its_gpus_cores_and_memory_to_the_last_digit(root: Path) -> None:
    settings = settings_with(
        root,
        prices=PRICES,
        gpu={"model": "L4"},
        resources={"cpu": "2500m", "memory": "1536Mi"},
    )
    assert pod_hour(settings, 2) == Decimal("2") * Decimal("0.7") + Decimal("0.1025") + Decimal("0.00795")


def test_where_gpus_are_off_none_is_paid_for(root: Path) -> None:
    settings = settings_with(root, prices=PRICES, gpu={"enabled": False}, resources={"cpu": "1", "memory": "1Gi"})
    assert pod_hour(settings, 4) == Decimal("0.0463")


def test_a_month_has_730_hours() -> None:
    assert monthly(Decimal("1.10"), 3) == Decimal("2409")


@pytest.mark.parametrize(
    ("amount", "text"), [("0", "0.00 EUR"), ("1E+3", "1000.00 EUR"), ("0.125", "0.12 EUR"), ("1E-9", "0.00 EUR")]
)
def test_money_is_written_plainly(amount: str, text: str) -> None:
    assert money_text(Decimal(amount), "EUR") == text


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"cpu_core_hour": 0.04}, ["prices.cpu_core_hour", "0.04", "string"]),
        ({"cpu_core_hour": "-1"}, ["prices.cpu_core_hour", "'-1'"]),
        ({"cpu_core_hour": "1e3"}, ["prices.cpu_core_hour", "'1e3'"]),
        ({"currency": "euro"}, ["prices.currency", "'euro'"]),
        ({"gpu_hour": {"H1000": "1"}}, ["prices.gpu_hour.H1000", "'H100-80GB'"]),
        ({"budgets": {"models": {"no such name ": "1"}}}, ["prices.budgets.models"]),
    ],
)
def test_a_price_that_is_no_decimal_in_quotes_is_refused(root: Path, prices: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        settings_with(root, prices=prices)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_gpu_without_a_price_is_refused(root: Path) -> None:
    base = root / "environments" / "base.yaml"
    base.write_text("\n".join(line for line in base.read_text().splitlines() if "A100-80GB: " not in line) + "\n")
    with pytest.raises(BadInput, match=r"prices\.gpu_hour has no A100-80GB"):
        load_settings(root, "dev")
