"""National numbers that the library presidio knows by their form, masked in what engines are told and what they say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_gateway.masking import recognizers
from nexus_gateway.masking.patterns import KINDS
from nexus_gateway.masking.recognized import RecognizedText
from nexus_gateway.masking.rules import Rules
from nexus_gateway.masking.text import MaskedText

from ..support.gateway import BIN, Gateway, write_routes
from ..support.parrot import said, streamed
from ..support.upstream import Engine

SSN, NINO, MAIL = "536-22-1234", "AB 12 34 56 C", "kim@example.org"
TEXT = f"{SSN} and {NINO} of {MAIL}, again {SSN}"
HIDDEN = "<US_SSN_1> and <UK_NINO_1> of <EMAIL_1>, again <US_SSN_1>"
SLOWEST = ("IN_PAN", "US_DRIVER_LICENSE")


def routes(masking: dict[str, Any], url: str = "mock://local") -> dict[str, Any]:
    chat = {"strategy": "direct", "upstream": "u", "masking": masking}
    return {"all": {"upstreams": {"u": {"url": url}}, "routes": {"chat": chat}}}


@pytest.fixture(scope="module")
def recognizing(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("recognizers")
    files = routes({"recognizers": ["US_SSN", "UK_NINO"], "kinds": ["email"]}, engine.url("parrot-1"))
    masking = {"recognizers": ["US_SSN", "UK_NINO"], "kinds": ["email"], "requests": False, "answers": True}
    files["all"]["routes"]["said"] = {"strategy": "direct", "upstream": "u", "masking": masking}
    running = Gateway(folder, "--routes", str(write_routes(folder / "routes", files))).wait(60)
    yield running
    assert running.stop() == 0
    assert SSN not in running.log.read_text()


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_sees_placeholders_and_the_client_its_own_values(
    recognizing: Gateway, engine: Engine, stream: bool
) -> None:
    answer = recognizing.ask(messages=[{"role": "user", "content": TEXT}], stream=stream)
    assert HIDDEN in engine.of("parrot-1")[-1].body.decode()
    if not stream:
        assert answer.json()["choices"][0]["message"]["content"] == TEXT
        return
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    choices = [choice for one in data for choice in json.loads(one)["choices"]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == TEXT


def check(folder: Path, masking: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    files = write_routes(folder / "routes", routes(masking))
    return subprocess.run([str(BIN / "nexus-gateway"), "check", str(files)], capture_output=True, text=True)


def test_an_entity_that_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    serving = Gateway(tmp_path, "--routes", str(write_routes(tmp_path / "routes", routes({"recognizers": ["MOON"]}))))
    assert serving.process.wait(60) == 2
    told = serving.log.read_text()
    assert "routes.chat.masking.recognizers: MOON is no entity that is known by its form; there are" in told
    assert check(tmp_path, {"recognizers": ["MOON"]}).returncode == 0, "the library's names are its own to know"


def test_where_the_library_is_missing_the_mend_is_named(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'presidio_analyzer' else find(name, *more)\n"
    )
    files = write_routes(tmp_path / "routes", routes({"recognizers": ["US_SSN"]}))
    serving = Gateway(tmp_path, "--routes", str(files), env={"PYTHONPATH": str(hidden)})
    assert serving.process.wait(60) == 2
    assert "pip install 'nexus-platform[presidio]'" in serving.log.read_text()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_an_engine_says_is_looked_at_too_where_answers_are(recognizing: Gateway, path: str, stream: bool) -> None:
    """The engine has been told the numbers as they are, and says them a character at a time."""
    text = f"{TEXT}\nand {NINO}"
    asked = {"prompt": text} if path == "/v1/completions" else {"messages": [{"role": "user", "content": text}]}
    asked = {"input": text} if path == "/v1/responses" else asked
    answer = httpx.post(
        recognizing.url + path,
        json={"model": "said", "max_tokens": 99, "stream": stream, **asked},
        headers={"x-api-key": "dev-key"},
        timeout=30,
    )
    hidden = f"{HIDDEN}\nand <UK_NINO_1>"
    if not stream:
        assert said(path, answer.json()) == hidden
        return
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    assert streamed(path, [json.loads(one) for one in data]) == hidden
    assert SSN not in answer.text
    assert NINO not in answer.text


ENTITIES = ("US_SSN", "UK_NINO")
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [SSN, NINO, MAIL, "<US_SSN_1>", "<US_", "\n", " ", "4111 1111 1111 1111", "word " * 40, "x" * 300]
        ),
        st.text(alphabet=" \n\tAB0123456789-<>_.", max_size=12),
    ),
    max_size=20,
).map("".join)


def in_pieces(text: str, cuts: list[int]) -> str:
    def hide(kind: str, value: str) -> str:
        return f"[{kind}]"

    stream = RecognizedText(ENTITIES, KINDS, hide, MaskedText(Rules(KINDS), hide))
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    out = [stream.feed(text[start:end]) for start, end in pairwise(places)]
    return "".join([*out, stream.feed("", last=True)])


@settings(max_examples=40, deadline=None)
@given(LINES, st.lists(st.integers(min_value=0, max_value=10_000), max_size=20))
def test_pieces_say_what_the_whole_says(text: str, cuts: list[int]) -> None:
    recognizers.load(ENTITIES)
    assert in_pieces(text, cuts) == in_pieces(text, []) == in_pieces(text, list(range(len(text))))


@settings(max_examples=30, deadline=None)
@given(st.integers(min_value=0, max_value=3000), st.sampled_from(["w", "word "]))
def test_a_value_is_found_wherever_it_stands_in_a_long_line(place: int, unit: str) -> None:
    recognizers.load(ENTITIES)
    before = (unit * place)[:place] + " "
    assert in_pieces(f"{before}{NINO} and {SSN}.{'word ' * 300}", [place]).startswith(
        f"{before}[UK_NINO] and [US_SSN]."
    )


@pytest.mark.parametrize("unit", ["1", "1 ", "1-", "AB 12 34 56 C ", "<US_SSN_1>", " " * 1023 + "x"])
@pytest.mark.parametrize("feed", [1, 4096])
def test_the_library_is_shown_each_character_a_bounded_number_of_times(
    unit: str, feed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizers.load(ENTITIES)
    shown, find = list[int](), recognizers.find
    monkeypatch.setattr(recognizers, "find", lambda text, all_: shown.append(len(text)) or find(text, all_))
    text = (unit * 20_000)[:20_000]
    in_pieces(text, list(range(0, len(text), feed)))
    assert sum(shown) <= 2.5 * len(text)


@settings(max_examples=50, deadline=None)
@given(st.integers(min_value=0, max_value=5000))
def test_a_value_is_found_wherever_it_stands_in_a_long_text(place: int) -> None:
    recognizers.load(["US_SSN"])
    text = f"{'word ' * (place // 5)}{SSN}{' word' * 100}"
    (found,) = recognizers.find(text, ["US_SSN"])
    assert text[found.start : found.end] == SSN


@pytest.mark.parametrize("entity", SLOWEST)
def test_no_pattern_is_shown_more_at_once_than_its_worst_text_may_take(
    entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizers.load([entity])
    shown = list[int]()
    for recognizer in recognizers._loaded[entity]:
        monkeypatch.setattr(recognizer, "analyze", lambda text, *_: shown.append(len(text)) or [])
    recognizers.find("1-" * 10_000, [entity])
    assert max(shown) <= 1024
    assert sum(shown) <= 1.3 * 20_000
