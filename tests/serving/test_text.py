"""Chat templates, stop strings and the drawing of tokens, each by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_worker.chat_template import BadMessages, ChatTemplate
from nexus_worker.engines.engine import Sampling
from nexus_worker.engines.sampling import draw
from nexus_worker.errors import BadCheckpoint
from nexus_worker.text import StopStrings

from ..support.checkpoints import write_llama

MESSAGES = [{"role": "user", "content": "Größe? <b>&</b>"}]


def render(source: str, **special_tokens: str) -> str:
    return ChatTemplate(source, special_tokens).render(MESSAGES)


def test_template_of_a_folder_writes_roles_and_asks_for_an_answer(tmp_path: Path) -> None:
    template = ChatTemplate.of(write_llama(tmp_path / "model"))
    assert template is not None
    asked = "<|im_start|>user\nGröße? <b>&</b><|im_end|>\n"
    assert template.render(MESSAGES) == asked + "<|im_start|>assistant\n"
    assert template.render(MESSAGES, add_generation_prompt=False) == asked


def test_template_may_stand_in_the_tokenizer_s_settings(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    assert ChatTemplate.of(folder) is None
    (folder / "tokenizer_config.json").write_text(
        '{"chat_template": "{{ bos_token }}{{ eos_token }}", "bos_token": "<s>", "eos_token": {"content": "</s>"}}'
    )
    template = ChatTemplate.of(folder)
    assert template is not None
    assert template.render(MESSAGES) == "<s></s>"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "Größe? <b>&</b>"}'),
        ("{% for n in [1, 2, 3] %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}", "1"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc"),
        ("{% generation %}said{% endgeneration %}", "said"),
        ("{{ tools is none }}", "True"),
    ],
    ids=["tojson", "break", "blocks", "generation", "tools"],
)
def test_template_has_what_transformers_gives_it(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{% for a in range(99999999) %}x{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ nothing.there }}",
    ],
    ids=["raises", "escape", "append", "update", "range", "flood", "arithmetic", "undefined"],
)
def test_template_that_refuses_or_breaks_out_is_stopped(source: str) -> None:
    with pytest.raises(BadMessages):
        render(source)


def test_template_that_does_not_parse_is_a_bad_checkpoint() -> None:
    with pytest.raises(BadCheckpoint, match="template: does not parse"):
        ChatTemplate("{% if %}", {})


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.data())
def test_stop_strings_end_the_text_where_it_would_end_in_one_piece(text: str, stops: list[str], data: Any) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    guard, given_out = StopStrings(stops), ""
    for piece in pieces:
        given_out += guard.feed(piece)
        if guard.found:
            break
    given_out += guard.rest()
    # In one piece, the stop string that is complete first ends the text.
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    assert guard.found == bool(ends)
    if not ends:
        assert given_out == text
    else:
        assert text.startswith(given_out)
        assert not any(stop in given_out for stop in stops)


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    guard = StopStrings(["###"])
    assert [guard.feed(piece) for piece in ("ab", "c#", "#", "d", "#")] == ["ab", "c", "", "##d", ""]
    assert guard.rest() == "#"


def shares(sampling: Sampling, logits: list[float]) -> list[float]:
    random = np.random.default_rng(0)
    drawn = [draw(np.array(logits, np.float32), sampling, random) for _ in range(4000)]
    return [drawn.count(token) / len(drawn) for token in range(len(logits))]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(1), [0.1, 0.6, 0.3]),
        (Sampling(1, temperature=0.5), [0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46]),
        (Sampling(1, top_k=2), [0.0, 2 / 3, 1 / 3]),
        (Sampling(1, top_p=0.6), [0.0, 1.0, 0.0]),
        (Sampling(1, top_p=0.7), [0.0, 2 / 3, 1 / 3]),
    ],
    ids=["plain", "temperature", "top_k", "top_p that the first fills", "top_p"],
)
def test_tokens_are_drawn_by_their_probability(sampling: Sampling, expected: list[float]) -> None:
    assert shares(sampling, list(np.log([0.1, 0.6, 0.3]))) == pytest.approx(expected, abs=0.03)
