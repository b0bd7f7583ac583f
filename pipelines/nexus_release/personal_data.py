"""Personal data and secrets in a text, found by their form. What is found is counted by its kind and never repeated.

Every pattern is linear in the text: each repetition has a bound, or cannot start inside another one of its own.
What has no form of its own (names, addresses, national phone numbers) is not found here, and nothing claims it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    """Where one may stand; its first group is what `holds` looks at."""
    holds: Callable[[str], bool] = lambda _: True


_RESERVED = re.compile(r"(^|\.)(example(\.(com|net|org))?|test|invalid|localhost)\Z", re.IGNORECASE)
"""Domains that are nobody's (RFC 2606)."""

_ISSUERS = r"(?:4|5[1-5]|2[2-7]|3[04-9]|6)"
"""First digits of payment cards (ISO/IEC 7812): Visa, Mastercard, American Express, Diners, JCB, Discover, UnionPay."""

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""SWIFT's registry of IBAN formats: country -> characters."""


def kinds(text: str) -> tuple[str, ...]:
    """Names of what the text holds, in the order of RULES; empty where it holds nothing of the kind."""
    return tuple(kind for kind, rule in _RULES.items() if _found(rule, text))


def _found(rule: _Rule, text: str) -> bool:
    return any(rule.holds(match[1]) for match in rule.pattern.finditer(text))


def _is_domain(text: str) -> bool:
    labels = text.rstrip(".-_").split(".")
    whole = ".".join(labels)
    return (
        len(labels) > 1 and all(labels) and labels[-1].isalpha() and len(labels[-1]) > 1 and not _RESERVED.search(whole)
    )


def _is_card(text: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1)."""
    digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The country's length, and the check digits modulo 97 (ISO 13616)."""
    length = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    places = [place for place, letter in enumerate(text) if letter != " "]
    if not length or len(places) < length:
        return False
    end = places[length - 1] + 1
    if text[end : end + 1].isalnum():
        return False
    number = text[:end].replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1


def _is_phone(text: str) -> bool:
    """8 to 15 digits (ITU-T E.164), and no decimal fraction."""
    said = text.strip(" .()-")
    return 8 <= sum(map(str.isdigit, said)) <= 15 and not re.fullmatch(r"\d+\.\d+", said)


_KEYS: Mapping[str, str] = {
    "OpenAI, Anthropic": r"sk-[A-Za-z0-9_-]{20}",
    "AWS": r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])",
    "GitHub": r"gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}",
    "GitLab": r"glpat-[A-Za-z0-9_-]{20}",
    "Google": r"AIza[0-9A-Za-z_-]{35}",
    "Hugging Face": r"hf_[A-Za-z0-9]{30}",
    "Slack": r"xox[abeprs]-[A-Za-z0-9-]{10}",
    "Stripe": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16}",
    "JWT": r"eyJ[A-Za-z0-9_-]{8,2000}+\.eyJ[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{8}",
}
"""Forms that their makers publish, so that scanners find them."""

_RULES: Mapping[str, _Rule] = {
    "email": _Rule(re.compile(r"(?<=[\w%+-])@([\w.-]{3,255}+)"), _is_domain),
    "payment card": _Rule(
        re.compile(
            rf"(?<![\w.])(?={_ISSUERS})"
            r"(?=(\d{13,19}(?!\d)|\d{4}([ -])\d{4}\2\d{4}\2\d{4}(?:\2\d{3})?(?!\d)|\d{4}([ -])\d{6}\3\d{5}(?!\d)))",
            re.ASCII,
        ),
        _is_card,
    ),
    "IBAN": _Rule(
        re.compile(r"(?<![A-Za-z0-9])(?=([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,31}))", re.ASCII | re.IGNORECASE), _is_iban
    ),
    "phone": _Rule(re.compile(r"(?<![\w.+*/-])\+([1-9][0-9 ().-]{7,30}+)(?!\w)", re.ASCII), _is_phone),
    "private key": _Rule(re.compile(r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)")),
    "API key": _Rule(re.compile(rf"(?<![A-Za-z0-9_-])({'|'.join(_KEYS.values())})")),
}

RULES: Mapping[str, str] = {kind: rule.pattern.pattern for kind, rule in _RULES.items()}
"""Kind -> the form by which it is found; a part of the contract's digest."""


def texts(value: object) -> Iterator[str]:
    """Every text inside a JSON value, keys and numbers too, however deep it is."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case dict(mapping):
                waiting += [*mapping, *mapping.values()]
            case list(items):
                waiting += items
            case int() | float() as number:
                yield str(number)
