"""What names a person or opens a door, taken out of free text.

Linear in the text's length, whatever it holds: a search begins only where a run of its characters begins, no quantifier
gives back what it took, and a checksum looks at a bounded number of characters. What is taken begins and ends where
words do and leaves `[kind]`, so that no pass makes something that an earlier one would take: twice is the same as once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

_CREDENTIALS = re.compile(
    r"""
    (?<![A-Za-z0-9])(?>(?i:bearer[ \t]++)+)[A-Za-z0-9._~+/-]++=*+        # RFC 6750
    | (?<![A-Za-z0-9_-])(?>[A-Za-z0-9_-]*?eyJ)[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+)*   # JWT
    | (?<![A-Za-z0-9])(?:nxs|sk)-[A-Za-z0-9_-]{8,}+                       # API keys: ours, OpenAI's
    """,
    re.VERBOSE,
)
_EMAIL = re.compile(
    r"""
    (?<![\w.%+'-])[\w.%+'-]++@[\w-]++(?>(?:\.[\w-]++)+)
    (?:[\w.%+'-]*+@[\w-]++(?>(?:\.[\w-]++)+))*         # others that follow without a space
    """,
    re.VERBOSE,
)
_IPV4 = re.compile(r"(?<![0-9A-Za-z])(?<![0-9]\.)[0-9]{1,3}+(?:\.[0-9]{1,3}+){3}(?![0-9A-Za-z])(?!\.[0-9])")
_COLONS = re.compile(
    r"(?:(?<![0-9A-Za-z])(?<![0-9A-Fa-f]\.)[0-9A-Fa-f]{1,4}+(?![0-9A-Za-z])(?!\.[0-9A-Fa-f])|:)+",
)
"""Whole words of hexadecimal digits, and colons. Nothing follows that could send it back; and a possessive group with
a look around in it never ends in Python 3.11.2, which Debian 12 has."""
_LONGEST_ADDRESS = 39
_CROSS_SUM_OF_DOUBLE = str.maketrans("0123456789", "0246813579")


@dataclass(frozen=True)
class _Number:
    """A number written in groups: where it may begin, its groups, what is between two, and what makes it one."""

    begin: re.Pattern[str]
    group: re.Pattern[str]
    between: re.Pattern[str]
    fewest: int
    most: int
    valid: Callable[[str], bool]
    """Of the groups without what is between."""


def masked(text: str) -> str:
    """With `[key]`, `[email]`, `[iban]`, `[card]`, `[phone]` and `[ip]` in the place of such things."""
    text = _CREDENTIALS.sub("[key]", text)
    text = _EMAIL.sub("[email]", text)
    text = _without(_IBAN, "[iban]", text)
    text = _without(_CARD, "[card]", text)
    text = _without(_PHONE, "[phone]", text)
    text = _IPV4.sub("[ip]", text)
    return _COLONS.sub(_address, text)


def _without(number: _Number, kind: str, text: str) -> str:
    pieces, done = list[str](), 0
    for begin in number.begin.finditer(text):
        if begin.start() >= done and (end := _longest(number, text, begin.start())):
            pieces += [text[done : begin.start()], kind]
            done = end
    return "".join(pieces) + text[done:]


def _longest(number: _Number, text: str, begin: int) -> int:
    """Where the longest valid number from `begin` ends; 0 where there is none. It ends where a group does."""
    found, kept, place = 0, "", begin
    while group := number.group.match(text, place):
        kept += group[0]
        if len(kept) > number.most:
            break
        if len(kept) >= number.fewest and number.valid(kept):
            found = group.end()
        between = number.between.match(text, group.end())
        if between is None:
            break
        place = between.end()
    return found


def _checks_as_iban(text: str) -> bool:
    """ISO 13616: letters are 10 to 35, the first four characters count last, and 97 leaves 1."""
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def _checks_by_luhn(digits: str) -> bool:
    """ISO/IEC 7812: every second digit from the right counts twice, with its cross sum."""
    return sum(map(int, digits[-1::-2] + digits[-2::-2].translate(_CROSS_SUM_OF_DOUBLE))) % 10 == 0


def _address(found: re.Match[str]) -> str:
    """An IPv6 address in a run of colons, its port left behind. `std::bad` is none, nor is the time of day."""
    run, text = found[0], found.string
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    core = run if run.startswith("::") and not before.isalnum() else run.lstrip(":")
    lead = run[: len(run) - len(core)]
    core = core if core.endswith("::") and not after.isalnum() else core.rstrip(":")
    for address in (core, core.rpartition(":")[0]):
        if _is_ipv6(address):
            return f"{lead}[ip]{run[len(lead) + len(address) :]}"
    return run


def _is_ipv6(text: str) -> bool:
    if text.count(":") < 2 or len(text) > _LONGEST_ADDRESS or not text.strip(":"):
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


_SINGLE = re.compile(r"[ \u00a0\u202f-]")
_IBAN = _Number(
    begin=re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}"),
    group=re.compile(r"[A-Za-z0-9]{1,34}+(?![A-Za-z0-9])"),
    between=_SINGLE,
    fewest=15,
    most=34,
    valid=_checks_as_iban,
)
_CARD = _Number(
    begin=re.compile(r"(?<![A-Za-z0-9])[0-9]"),
    group=re.compile(r"[0-9]{1,19}+(?![A-Za-z0-9])"),
    between=_SINGLE,
    fewest=13,
    most=19,
    valid=_checks_by_luhn,
)
_PHONE = _Number(  # E.164: at most 15 digits after the plus
    begin=re.compile(r"\+[1-9]"),
    group=re.compile(r"\+?[0-9]{1,15}+(?![A-Za-z0-9])"),
    between=re.compile(r"[ \u00a0\u202f().\u2010\u2011/-]{1,3}+(?=[0-9])"),
    fewest=8,
    most=16,
    valid=lambda _: True,
)
