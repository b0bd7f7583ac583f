"""A page as one HTML file: no script, nothing from elsewhere, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from nexus_release.evidence.figures import bounds_of, interval_of, name_of
from nexus_release.evidence.markdown import shortened
from nexus_release.evidence.page import (
    Bar,
    Bars,
    Block,
    Changes,
    Facts,
    Figures,
    Heading,
    Page,
    Said,
    Table,
    Text,
)
from nexus_release.evidence.plot import interval_plot
from nexus_release.record import Figure
from nexus_release.terminal import plain

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def html_text(page: Page) -> str:
    body = "\n".join(line for block in page.blocks for line in _lines(block))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escaped(page.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{_escaped(page.title)}</h1>
{body}
</main>
</body>
</html>
"""


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Heading(text):
            yield f"<h2>{_escaped(text)}</h2>"
        case Said(good, word, reason):
            yield f'<div class="said {_state(good)}"><b>{_sign(good)} {_escaped(word)}</b>{_escaped(reason)}</div>'
        case Text(text):
            yield f"<p>{'<br>'.join(_escaped(line) for line in text.splitlines())}</p>"
        case Facts(rows):
            cells = (
                f'<tr><th scope="row">{_escaped(name)}</th><td>{_escaped(value)}</td></tr>' for name, value in rows
            )
            yield f"<table><tbody>{''.join(cells)}</tbody></table>"
        case Table(head, rows):
            yield _table(head, rows)
        case Bars(bars):
            longest = max((bar.value for bar in bars), default=0.0) or 1.0
            yield from (_bar(bar, longest) for bar in bars)
        case Figures(figures, caption):
            yield from (_figure(figure) for figure in figures)
            if caption:
                yield f'<p class="caption">{_escaped(caption)}</p>'
        case Changes(diff):
            yield from _changes(*shortened(diff))


def _table(head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    names = "".join(f'<th scope="col">{_escaped(name)}</th>' for name in head)
    lines = ("".join(f"<td>{_escaped(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _bar(bar: Bar, longest: float) -> str:
    width = f"{100 * bar.value / longest:.1f}%"
    return (
        f'<div class="bar"><span>{_escaped(bar.name)}</span><i style="width:{width}"></i>'
        f"<span>{_escaped(bar.said)}</span></div>"
    )


def _figure(figure: Figure) -> str:
    word, measured, bounds = "passed" if figure.passed else "failed", interval_of(figure), bounds_of(figure)
    told = f"<span><b>{_escaped(name_of(figure))}</b> {_escaped(measured)}, {_escaped(bounds)}</span>"
    verdict = f'<b class="{_state(figure.passed)}">{_sign(figure.passed)} {word}</b>'
    plot = interval_plot(figure, plain(f"{name_of(figure)} {measured}, {bounds}: {word}"))
    return f"<figure><figcaption>{told}{verdict}</figcaption>{plot}</figure>"


def _changes(diff: str, more: int) -> Iterator[str]:
    lines = (f'<span class="{_kind(line)}">{_escaped(line) or " "}</span>' for line in diff.splitlines())
    yield f"<pre><code>{''.join(lines)}</code></pre>"
    if more:
        yield f'<p class="caption">and {more:,} more lines</p>'


def _kind(line: str) -> str:
    if line.startswith(("+++", "---", "@@")):
        return "file"
    return {"+": "plus", "-": "minus"}.get(line[:1], "same")


def _state(good: bool) -> str:
    return "good" if good else "bad"


def _sign(good: bool) -> str:
    return "✓" if good else "✗"


def _escaped(text: str) -> str:
    return escape(plain(text))
