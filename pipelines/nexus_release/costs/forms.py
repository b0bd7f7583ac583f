"""A cost report for people and for spreadsheets. Every form has the same digits, so that each adds up as it is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal

from nexus_release.costs.report import CostReport, TenantCost
from nexus_release.costs.sharing import PLACES
from nexus_release.evidence.markdown import markdown_text
from nexus_release.evidence.page import Facts, Heading, Page, Table
from nexus_release.terminal import plain_line

HEAD = ("model", "release", "for", "cost", "prompt", "cached", "completion", "per 1k tokens")
_IDLE = "(idle)"
_ALL = "(all)"
_SHOWN = 12  # digits of a release


def rows(found: CostReport) -> Iterator[tuple[str, ...]]:
    """Of each release its tenants, what was idle, and the sum; of all releases the same."""
    for release in found.releases:
        name = (release.model, release.release)
        yield from ((*name, *_tenant(one)) for one in release.tenants)
        yield (*name, _IDLE, _amount(release.idle), "", "", "", "")
        yield (*name, _ALL, _amount(release.allocated), "", "", "", "")
    yield from ((_ALL, "", *_tenant(one)) for one in found.tenants)
    yield (_ALL, "", _IDLE, _amount(found.idle), "", "", "", "")
    yield (_ALL, "", _ALL, _amount(found.allocated), "", "", "", "")


def text(found: CostReport) -> str:
    table = [HEAD, *((model, release[:_SHOWN], *rest) for model, release, *rest in rows(found))]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = (
        "  ".join(cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in table)
    )
    return "\n".join((*map(plain_line, _about(found)), *(plain_line(line.rstrip()) for line in lines)))


def markdown(found: CostReport) -> str:
    title = f"Cost of {found.environment}"
    facts = Facts(tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in _about(found)))
    return markdown_text(Page(title, (facts, Heading("By release and tenant"), Table(HEAD, tuple(rows(found))))))


def comma_separated(found: CostReport) -> str:
    """RFC 4180, with the currency and the window in every row, so that files of several can be put together."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("environment", "since", "until", "currency", *HEAD))
    for row in rows(found):
        cells = (found.environment, found.window.since, found.window.until, found.currency, *row)
        writer.writerow(_harmless(cell) for cell in cells)
    return out.getvalue()


def _about(found: CostReport) -> Iterator[str]:
    weights = found.weights
    yield f"cost: {found.environment}, {found.window.since} to {found.window.until}, in {found.currency}"
    yield from found.sources
    yield (
        f"split: in each {found.slot_minutes} minutes by tokens, prompt x {weights.prompt}, cached x {weights.cached}, "
        f"completion x {weights.completion}; without a token it is idle"
    )


def _tenant(one: TenantCost) -> tuple[str, ...]:
    each = "" if one.per_1k_tokens is None else _amount(one.per_1k_tokens)
    return (one.tenant, _amount(one.cost), str(one.prompt), str(one.cached), str(one.completion), each)


def _amount(amount: Decimal) -> str:
    return f"{amount:.{PLACES}f}"


def _harmless(cell: str) -> str:
    """A spreadsheet computes what begins so; a name from elsewhere is text."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
