"""What is taken out of free text, what stays, and that no text takes long."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.telemetry.masking import masked

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
TAKEN = [
    ("mail bob.o'brien+x@mail.example.co.uk.", "mail [email]."),
    ("a@b.example.+c@d.example", "[email]"),
    ("jürgen@bücher.example wrote", "[email] wrote"),
    ('{"user": "bob@example.com"}', '{"user": "[email]"}'),
    ("DE89 3704 0044 0532 0130 00 by then", "[iban] by then"),
    ("to GB82WEST12345698765432, gb82-west-1234-5698-7654-32", "to [iban], [iban]"),
    ("card 4111 1111 1111 1111, 378282246310005", "card [card], [card]"),
    ("item 1234 4111-1111-1111-1111 99", "item 1234 [card] 99"),
    ("one with another in it: 0 4111111111111111", "one with another in it: [card]"),
    ("4222222222222 6304000000000000000", "[card] [card]"),
    ("call +49 30 1234567, +1 (555) 123-4567 or +442079460958", "call [phone], [phone] or [phone]"),
    ("authorization: Bearer abc.def-==, bearer  bearer x", "authorization: [key], [key]"),
    (f"token {JWT}!", "token [key]!"),
    ("unsigned eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ. too", "unsigned [key] too"),
    (f"x-{JWT}", "[key]"),
    ("nxs-AbC_d-123456789 and sk-proj-abcdefgh", "[key] and [key]"),
    ("http://10.0.0.1:8001/v1 from 192.168.1.254.", "http://[ip]:8001/v1 from [ip]."),
    ("[2001:db8::1]:443, client:2001:db8::1, fe80::1%eth0", "[[ip]]:443, client:[ip], [ip]%eth0"),
    ("::1: refused at ::1. 1:2:3:4:5:6:7:8:443", "[ip]: refused at [ip]. [ip]:443"),
    ("at ::ffff:192.0.2.1", "at [ip]:[ip]"),
]
LEFT = [
    "", "the engine failed: its answer is no JSON", "DE88370400440532013000", "4111 1111 1111 1112", "+49 30", "1 + 1",
    "task-force-one", "sk-1", "eyJ is how it begins", "v1.2.3.4", "1.2.3.4.5", "12:30:45", "std::bad", "::",
    "aa:bb:cc:dd:ee:ff", "root@localhost", "@example.com", "[email] [iban] [card] [phone] [ip] [key]",
    "9c0d8e7f" * 8, "model-7b-20261123", "2026-11-23T20:44:00.123Z",
]  # fmt: skip


@pytest.mark.parametrize(("text", "left"), TAKEN, ids=[left for _, left in TAKEN])
def test_what_names_a_person_or_opens_a_door_is_taken_out(text: str, left: str) -> None:
    assert masked(text) == left


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert masked(text) == text


PIECES = [
    *(text for text, _ in TAKEN), *LEFT, JWT, "eyJ", "sk-", "nxs-abcdefgh", "Bearer", "bearer ", "bob@example.com",
    "@a.b", "4111111111111111", "4111", "1111", "DE89370400440532013000", "DE89", "+4930123456", "+", "10.0.0.1",
    "::1", "::", ":", "1:2:3:4:5:6:7:8", "fe80", "5", ".", "-", "_", " ", "'", "=", "%", "/", "(", ")", "[", "]", "\n",
    "é", "1.2.3",
]  # fmt: skip


@settings(max_examples=3000)
@given(st.lists(st.sampled_from(PIECES) | st.text("aZe0149.:@-+ _J\u2028[]", max_size=4), max_size=8).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = masked(text)
    assert masked(once) == once


@given(st.text())
def test_no_text_is_refused(text: str) -> None:
    assert masked(masked(text)) == masked(text)


HOSTILE = [
    "1", "1 ", "4111-", "a@", "a@a.", ".", "a.", "a1", "-eyJ", "eyJ.", "Bearer ", "sk-", ":", "a:", "1.", "+1 ", "+1((",
    "AA00 ", "AA00", "a@a.+", "a'", "\u00e9", " ",
]  # fmt: skip
GROWTH = """
import sys, time
from nexus_gateway.telemetry.masking import masked
def seconds(text):
    before = time.process_time()
    masked(text)
    return time.process_time() - before
unit = sys.argv[1]
small = max(0.001, min(seconds((unit * 12_500)[:12_500]) for _ in range(3)))
print(seconds((unit * 200_000)[:200_000]) / small)
"""


@pytest.mark.parametrize("unit", HOSTILE, ids=repr)
def test_sixteen_times_the_text_takes_no_more_than_ten_times_the_share(unit: str) -> None:
    """Of the processor's time: linear growth is 16, quadratic growth is 256."""
    done = subprocess.run([sys.executable, "-c", GROWTH, unit], capture_output=True, text=True, check=True, timeout=240)
    assert float(done.stdout) < 160
