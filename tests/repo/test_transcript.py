"""docs/demo.md is the same for everybody: ids, times and ports are put in words, figures stay."""

from __future__ import annotations

from nexus_release.demo.transcript import normalise


def test_the_same_id_is_the_same_word_whether_whole_or_short() -> None:
    release = "9b2a1124c610" + "0" * 52
    text = f"release {release}\n{release[:12]} as pydoc-chat-{release[:8]}, commit 83ffacd8d8bf"
    assert normalise(text) == "release ‹id 1›\n‹id 1› as pydoc-chat-‹id 1›, commit ‹id 2›"


def test_figures_stay_and_times_and_ports_go() -> None:
    text = "0.00001302 to 12345678 rows in 2.5 s at http://127.0.0.1:8000 on 2026-11-23T18:58:06+00:00"
    assert normalise(text) == "0.00001302 to ‹id 1› rows in ‹time› at http://127.0.0.1:‹port› on ‹time›"


def test_words_are_not_taken_for_ids() -> None:
    assert normalise("decade effaced 4155 rows sha256:6fe697fdc527") == "decade effaced 4155 rows sha256:‹id 1›"
