"""What names a person or opens a door: the one table of patterns, for log lines and for texts in flight.

Linear in the text's length, whatever it holds: a search begins only where a run of its characters begins, no quantifier
gives back what it took, and a checksum looks at a bounded number of characters. What is found begins and ends where
words do. A kind is looked for where the ones before it have found nothing.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

Kind = Literal["key", "email", "rrn", "iban", "card", "phone", "ip"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Span = tuple[int, int]


class Found(NamedTuple):
    """A value in a text."""

    kind: str
    start: int
    end: int


_CREDENTIALS = re.compile(
    r"""
    (?<![A-Za-z0-9])(?>(?i:bearer[ \t]{1,8}+)+)[A-Za-z0-9._~+/-]++=*+    # RFC 6750
    | (?<![A-Za-z0-9_-])(?>[A-Za-z0-9_-]*?eyJ)[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+)*   # JWT
    | (?<![A-Za-z0-9])(?:nxs|sk|glpat)-[A-Za-z0-9_-]{8,}+     # API keys: ours, OpenAI's and Anthropic's, GitLab's
    | (?<![A-Za-z0-9])(?:gh[opsur]|github_pat|hf)_[A-Za-z0-9_]{16,}+      # GitHub's, Hugging Face's
    | (?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])                     # AWS's
    | (?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}+                             # Google's
    | (?<![A-Za-z0-9])xox[abeprs]-[A-Za-z0-9-]{10,}+                      # Slack's
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
_RRN = re.compile(
    r"(?<![A-Za-z0-9])([0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))((?:[ ]?-[ ]?|[ ])?)([1-8][0-9]{6})"
    r"(?![A-Za-z0-9])"
)
"""A Korean resident registration number: date of birth, sex and century, and six digits."""
_MOBILE = re.compile(r"(?<![A-Za-z0-9+])01[016789]([ .-]?)[0-9]{3,4}\1[0-9]{4}(?![A-Za-z0-9])")
"""Of Korea, as it is written there."""
_IPV4 = re.compile(r"(?<![0-9A-Za-z])(?<![0-9]\.)[0-9]{1,3}+(?:\.[0-9]{1,3}+){3}(?![0-9A-Za-z])(?!\.[0-9])")
_COLONS = re.compile(
    r"(?=[0-9A-Fa-f]{0,4}:)(?:(?<![0-9A-Za-z])(?<![0-9A-Fa-f]\.)[0-9A-Fa-f]{1,4}+(?![0-9A-Za-z])(?!\.[0-9A-Fa-f])|:)+",
)
"""Whole words of hexadecimal digits, and colons. Nothing follows that could send it back; and a possessive group with
a look around in it never ends in Python 3.11.2, which Debian 12 has."""
_LONGEST_ADDRESS = 39
_CHAIN = re.compile(r"(?<![A-Za-z0-9])[0-9]++(?:[ \u00a0\u202f-][0-9]++)*")
"""Groups of digits."""
_DIGITS = re.compile(r"[0-9]++")
_CROSS_SUM_OF_DOUBLE = str.maketrans("0123456789", "0246813579")
_AS_NUMBERS = str.maketrans({chr(letter): str(letter - 55) for letter in range(ord("A"), ord("Z") + 1)})
_ANY = re.compile(r"[0-9@:]|(?i:bearer)|eyJ|sk-|nxs-|glpat-|gh[opsur]_|github_pat_|hf_|AKIA|AIza|xox[abeprs]-")
"""Without one of these nothing is found."""


def find(text: str, kinds: Collection[str] = KINDS) -> list[Found]:
    """In the order of the text."""
    if not may_hold(text):
        return []
    found: list[Found] = []
    for kind, search in _SEARCHES:
        if kind in kinds and (spans := list(search(text))):
            found += (Found(kind, start, end) for start, end in spans)
            text = _blanked(text, spans)
    return sorted(found, key=lambda one: one.start)


def may_hold(text: str) -> bool:
    """False where `find` finds nothing, for less than it takes to look."""
    return _ANY.search(text) is not None


def _blanked(text: str, spans: list[Span]) -> str:
    """What has been found is NULs, which no pattern takes and every pattern ends at."""
    pieces, done = list[str](), 0
    for start, end in spans:
        pieces += [text[done:start], "\0" * (end - start)]
        done = end
    return "".join(pieces) + text[done:]


def _of(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    return lambda text: (one.span() for one in pattern.finditer(text))


def _emails(text: str) -> Iterator[Span]:
    return (one.span() for one in _EMAIL.finditer(text)) if "@" in text else iter(())


def _rrns(text: str) -> Iterator[Span]:
    """With a hyphen the form is enough: numbers given since October 2020 have no check digit."""
    return (one.span() for one in _RRN.finditer(text) if "-" in one[2] or _checks_as_rrn(one[1] + one[3]))


def _checks_as_rrn(digits: str) -> bool:
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))
    return ((13 if digits[6] in "5678" else 11) - total % 11) % 10 == int(digits[12])


def _cards(text: str) -> Iterator[Span]:
    """ISO/IEC 7812: 13 to 19 digits, of which every second from the right counts twice, with its cross sum. The longest
    from each group on."""
    for chain in _CHAIN.finditer(text):
        if len(chain[0]) < _FEWEST_DIGITS:
            continue
        groups = [group.span() for group in _DIGITS.finditer(chain[0])]
        if chain.end() < len(text) and text[chain.end()].isascii() and text[chain.end()].isalpha():
            groups.pop()
        yield from ((chain.start() + start, chain.start() + end) for start, end in _valid_cards(chain[0], groups))


def _valid_cards(text: str, groups: list[Span]) -> Iterator[Span]:
    digits = "".join(text[start:end] for start, end in groups)
    once, twice = list(map(int, digits)), list(map(int, digits.translate(_CROSS_SUM_OF_DOUBLE)))
    # Sums up to each digit, for a number whose last digit's place is even, and for one where it is odd.
    pairs = list(zip(once, twice, strict=True))
    sums = [[0, *accumulate(pair[(place + odd) % 2] for place, pair in enumerate(pairs))] for odd in (0, 1)]
    begins = [0, *accumulate(end - start for start, end in groups)]
    done = 0
    for first in range(len(groups)):
        if first < done:
            continue
        begin = begins[first]
        for past in range(bisect_left(begins, begin + _FEWEST_DIGITS, first), len(begins)):
            end = begins[past]
            if end - begin > _MOST_DIGITS:
                break
            total = sums[(end - 1) % 2]
            if (total[end] - total[begin]) % 10 == 0:
                done = past
        if done > first:
            yield groups[first][0], groups[done - 1][1]


_FEWEST_DIGITS, _MOST_DIGITS = 13, 19


def _ibans(text: str) -> Iterator[Span]:
    done = 0
    for begin in _IBAN_BEGIN.finditer(text):
        written = _IBANS_OF.get(begin[0][:2].upper())
        if written is None or begin.start() < done:
            continue
        if (found := written.match(text, begin.start())) and _checks_as_iban(_SINGLE.sub("", found[0])):
            yield found.span()
            done = found.end()


def _checks_as_iban(text: str) -> bool:
    """ISO 13616: letters are 10 to 35, the first four characters count last, and 97 leaves 1."""
    return int((text[4:] + text[:4]).upper().translate(_AS_NUMBERS)) % 97 == 1


def _phones(text: str) -> Iterator[Span]:
    """With the country's code; ends where a group of digits does."""
    done = 0
    for begin in _PHONE_BEGIN.finditer(text):
        found, count, place = 0, 0, begin.start()
        while place >= done and (group := _PHONE_GROUP.match(text, place)):
            count += len(group[0])
            if count > _LONGEST_PHONE:
                break
            found = group.end() if count >= _SHORTEST_PHONE else found
            between = _PHONE_BETWEEN.match(text, group.end())
            if between is None:
                break
            place = between.end()
        if found:
            yield begin.start(), found
            done = found


def _ipv6(text: str) -> Iterator[Span]:
    if ":" not in text:
        return
    for run in _COLONS.finditer(text):
        if span := _address(run):
            yield span


def _address(found: re.Match[str]) -> Span | None:
    """Of an IPv6 address in a run of colons, its port left behind. `std::bad` is none, nor is the time of day."""
    run, text = found[0], found.string
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    core = run if run.startswith("::") and not before.isalnum() else run.lstrip(":")
    start = found.start() + len(run) - len(core)
    core = core if core.endswith("::") and not after.isalnum() else core.rstrip(":")
    for address in (core, core.rpartition(":")[0]):
        if _is_ipv6(address):
            return start, start + len(address)
    return None


def _is_ipv6(text: str) -> bool:
    if text.count(":") < 2 or len(text) > _LONGEST_ADDRESS or not text.strip(":"):
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


_SINGLE = re.compile(r"[ \u00a0\u202f-]")
_IBAN_BEGIN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_IBAN_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30"
)
"""Characters by country, from SWIFT's registry of IBANs."""
_IBANS_OF = {
    one[:2]: re.compile(rf"(?:[A-Za-z0-9][ \u00a0\u202f-]?){{{int(one[2:]) - 1}}}[A-Za-z0-9](?![A-Za-z0-9])")
    for one in _IBAN_LENGTHS.split()
}
_PHONE_BEGIN = re.compile(r"\+[1-9]")
_PHONE_GROUP = re.compile(r"\+?[0-9]{1,15}+(?![A-Za-z0-9])")
_PHONE_BETWEEN = re.compile(r"[ \u00a0\u202f().\u2010\u2011/-]{1,3}+(?=[0-9])")
_SHORTEST_PHONE, _LONGEST_PHONE = 8, 16  # E.164: at most 15 digits after the plus
_SEARCHES: tuple[tuple[Kind, Callable[[str], Iterator[Span]]], ...] = (
    ("key", _of(_CREDENTIALS)),
    ("email", _emails),
    ("rrn", _rrns),
    ("iban", _ibans),
    ("card", _cards),
    ("phone", _phones),
    ("phone", _of(_MOBILE)),
    ("ip", _of(_IPV4)),
    ("ip", _ipv6),
)
