"""What names a person or opens a door, taken out of the free text of log lines."""

from __future__ import annotations

from nexus_gateway.masking.patterns import find


def masked(text: str) -> str:
    """With `[key]`, `[email]`, `[rrn]`, `[iban]`, `[card]`, `[phone]` and `[ip]` in the place of such things. What is
    found ends where words do, so that no pass makes something that an earlier one would take: twice is the same as
    once."""
    pieces, done = list[str](), 0
    for kind, start, end in find(text):
        pieces += [text[done:start], f"[{kind}]"]
        done = end
    return "".join(pieces) + text[done:]
