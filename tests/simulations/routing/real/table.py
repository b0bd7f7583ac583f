"""The part of the page that real gateways have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .measured import Measured

BEGIN, END = "<!-- real gateways: begin -->", "<!-- real gateways: end -->"


def section(found: Measured) -> str:
    form = (Path(__file__).parent / "table.md").read_text(encoding="utf-8")
    return form.format(
        date=found.date,
        machine=found.machine,
        versions=", ".join(f"{name} {version}" for name, version in found.versions.items()),
        load=found.load,
        questions=found.questions,
        rows="\n".join(_rows(found)),
        late=f"{max(row.late for row in found.rows) * 1000:.0f} ms",
        warming=f"{found.warming:,}",
        rush=f"{found.rush:,}",
        growth="\n".join(_growth(found)),
    ).strip()


def replaced(page: str, part: str) -> str:
    """The page with another such part."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{part}\n{END}{after}"


def _rows(found: Measured) -> Iterator[str]:
    for row in found.rows:
        yield (
            f"| {row.workload} | {row.gateway} | {row.gateways} | {row.hits * 100:.1f} ({row.simulated_hits * 100:.1f})"
            f" | {seconds(row.p50)} ({seconds(row.simulated_p50)}) | {seconds(row.p99)} ({seconds(row.simulated_p99)})"
            f" | {row.failed * 100:.1f} | {row.memory_before:.0f} to {row.memory_after:.0f} |"
        )


def _growth(found: Measured) -> Iterator[str]:
    for one in found.growth:
        per = (one.after - one.warm) / found.rush * 10_000
        yield f"| {one.gateway} | {one.before:.0f} | {one.warm:.0f} | {one.after:.0f} | {per:+.1f} | {one.failed} |"


def seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
