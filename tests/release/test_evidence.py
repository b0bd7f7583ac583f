"""What a person sees of a step: true to what it found out, and harmless whatever is written in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nexus_release.cli import nexus
from nexus_release.drift import FeatureDrift
from nexus_release.evidence.data import data_page
from nexus_release.evidence.figures import amounts_of
from nexus_release.evidence.html import html_text
from nexus_release.evidence.making import plain_page
from nexus_release.evidence.markdown import LONGEST_DIFF, markdown_text
from nexus_release.evidence.models import quantized_page
from nexus_release.evidence.page import Changes, Facts, Figures, Page, Said, Table, Text, amount
from nexus_release.evidence.plot import interval_plot
from nexus_release.evidence.verdicts import evaluated_page
from nexus_release.frozen import Artifact
from nexus_release.gates import held
from nexus_release.record import Figure, Verdict
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut, QualityGate
from nexus_release.steps.quantize import QuantizeIn, QuantizeOut, QuantizeRecipe
from nexus_release.steps.validate import DataGate, ValidateIn, ValidateOut
from nexus_release.suite import Suite

from ..orchestrators.conftest import bad_spec
from ..support.releases import plant_environments
from ..support.remotes import Remote
from ..support.repository import ROOT

HOSTILE = "<script>alert(1)</script>\n# a heading\n| a | cell |\n[a](javascript:x) @someone `x` \u202e\x1b[2J &amp;"
DIGEST = "sha256:" + "a" * 64
BASE = Artifact(digest=DIGEST, bytes=2_000_000, files=3)
SMALL = Artifact(digest=DIGEST, bytes=1_000_000, files=3)
PERPLEXITY = held("perplexity", 0.02, low=0.01, high=0.03, most=0.05, base="12.00", candidate="12.24")
AGREEMENT = held("agreement", 0.92, low=0.89, high=0.95, least=0.9, base="1.000", candidate="0.9200")
ERROR = held("relative error", 0.03, most=0.05, subject="lm_head")


class Tags(HTMLParser):
    """Tags and their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def evaluated() -> Page:
    given = EvaluateIn(base=BASE, artifact=SMALL, dataset=DIGEST, suite=Suite(), gate=QualityGate())
    verdict = {"accepted": False, "reason": "agreement 0.8900 to 0.9500", "evidence": DIGEST}
    measured = {"engine": "ctranslate2", "base_compute_type": "float32", "compute_type": "float32", "rows": 200}
    out = EvaluateOut.model_validate(
        {**verdict, **measured, "figures": (PERPLEXITY, AGREEMENT), "suite": DIGEST, "tokens": 9000}
    )
    return evaluated_page(given, out, {"golden": [{"prompt": "2 + 2", "base": "4", "candidate": "5", "holds": False}]})


def everything(text: str) -> Page:
    """A page with the text in every place that it can be in."""
    figure = Figure.model_construct(
        name=text, subject=text, value="1", low="0.5", high="2", least="", most="3", base="", candidate="", passed=True
    )
    blocks = (Said(False, text, text), Text(text), Facts(((text, text),)), Table((text,), ((text,),)))
    return Page(text, (*blocks, Figures((figure,), text), Changes(text)))


def test_a_verdict_stands_first_and_is_a_word_besides_a_colour(evaluated: Page) -> None:
    assert isinstance(evaluated.blocks[0], Said)
    assert "✗ refused" in html_text(evaluated)
    assert markdown_text(evaluated).splitlines()[2].startswith("**❌ refused**: agreement")


def test_each_figure_has_a_plot_that_says_what_it_shows(evaluated: Page) -> None:
    plots = [attributes for tag, attributes in Tags(html_text(evaluated)).tags if tag == "svg"]
    assert [plot["aria-label"] for plot in plots] == [
        "perplexity 0.02000 (0.01000 to 0.03000), at most 0.05000: passed",
        "agreement 0.9200 (0.8900 to 0.9500), at least 0.9000: failed",
    ]


def test_size_and_quality_stand_before_and_after(evaluated: Page) -> None:
    text = markdown_text(evaluated)
    assert "| perplexity | 12.00 | 12.24 |" in text
    assert "| 2 + 2 | 5 | no |" in text
    assert "| quantized | 1 MB (1,000,000 bytes), 50% of the base |" in text


def test_an_engine_is_given_numbers_to_plot(evaluated: Page) -> None:
    assert evaluated.amounts["perplexity"] == 0.02
    assert evaluated.amounts["agreement.low"] == 0.89
    given = QuantizeIn(model=BASE, dataset=DIGEST, recipe=QuantizeRecipe())
    assert quantized_page(given, QuantizeOut(artifact=SMALL)).amounts["bytes.ratio"] == 0.5


def test_a_figure_without_an_interval_is_one_number() -> None:
    assert amounts_of((ERROR,)) == {"relative error": 0.03}
    drawn = html_text(Page("x", (Figures((ERROR,), ""),)))
    assert 'aria-label="relative error of lm_head 0.03000, at most 0.05000: passed"' in drawn


def test_drift_is_told_feature_by_feature_where_there_was_something_to_compare_with() -> None:
    out = ValidateOut(
        source=DIGEST, dataset=DIGEST, contract=DIGEST, rows=9, train_rows=8, holdout_rows=1, refused_rows=0,
        reference=DIGEST, accepted=False, reason="script: drifted", drift=(
            FeatureDrift(feature="turns", measure="ks", value="0.01", chance="0.1", bound="0.2", drifted=False),
            FeatureDrift(feature="script", measure="psi", value="3.1", chance="0.1", bound="0.2", drifted=True),
        ),
    )  # fmt: skip
    given = ValidateIn(
        model="chat", environment="local", declaration=None, dataset="chats.jsonl", gate=DataGate(reference=DIGEST)
    )
    report = {
        "by_rule": {}, "failures": [], "duplicates": {"rows": 0}, "characters": {},
        "personal_data": {"policy": "refuse", "rows": {}}, "same_answer": {"times": 1, "of": 9, "share": 0.1111},
    }  # fmt: skip
    text = markdown_text(data_page(given, out, report))
    assert "| turns | ks 0.01 | 0.2 | 0.1 | no |" in text
    assert "| script | psi 3.1 | 0.2 | 0.1 | yes |" in text
    still = out.model_copy(update={"drift": (), "reference": None})
    assert "Drift" not in markdown_text(data_page(given, still, report))


def test_a_gate_without_a_page_of_its_own_has_its_verdict_and_its_figures() -> None:
    page = plain_page("weigh", Verdict(accepted=True, reason="it fits", figures=(PERPLEXITY,), evidence=DIGEST))
    assert page.title == "Weigh"
    assert "**✅ accepted**: it fits" in markdown_text(page)
    assert "<svg" in html_text(page)


@pytest.mark.parametrize(("low", "high", "bound"), [("0", "0", "0"), ("-1e30", "1e30", "0"), ("5", "5", "5")])
def test_a_plot_stays_within_itself_whatever_the_numbers(low: str, high: str, bound: str) -> None:
    drawn = interval_plot(Figure(name="x", value=low, low=low, high=high, most=bound, passed=True), "x")
    places = [float(number) for number in re.findall(r' (?:x1|x2|cx|x)="([^"]+)"', drawn)]
    assert all(0 <= place <= 640 for place in places), places


def test_hostile_text_is_no_markup_in_html() -> None:
    harmless, hostile = Tags(html_text(everything("x"))), Tags(html_text(everything(HOSTILE)))
    kinds = {tag for tag, _ in hostile.tags}
    assert kinds <= {tag for tag, _ in harmless.tags} | {"br"}
    assert not [name for _, attributes in hostile.tags for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in hostile.text
    assert "\u202e" not in html_text(everything(HOSTILE))


def test_a_page_asks_nobody_for_anything(evaluated: Page) -> None:
    page = Tags(html_text(evaluated))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "form", "a"}
    assert not [name for _, attributes in page.tags for name in attributes if name in ("src", "href", "action")]
    policies = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "://" not in html_text(evaluated)


def test_hostile_text_is_no_markup_in_markdown() -> None:
    text = markdown_text(everything(HOSTILE))
    outside = re.sub(r"(`{3,})diff\n.*?\n\1", "", text, flags=re.DOTALL)
    assert "<script>" not in outside
    assert not re.search(r"(?<!\\)\[a\]|(?<!\\)`x|@someone|\x1b", outside)
    assert [line for line in outside.splitlines() if re.match("# ", line)] == []
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {2, 3, 5}


def test_no_line_of_a_diff_ends_its_block() -> None:
    text = markdown_text(Page("x", (Changes("+```\n+````\n+<b>"),)))
    assert text.split("\n", 2)[2] == "`````diff\n+```\n+````\n+<b>\n`````\n"


def test_a_long_diff_says_how_much_is_left_out() -> None:
    page = Page("x", (Changes("+x\n" * (LONGEST_DIFF + 7)),))
    assert markdown_text(page).count("+x") == html_text(page).count("+x") == LONGEST_DIFF
    assert "and 7 more lines" in markdown_text(page)


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB (1,000 bytes)"), (1_234_567, "1.23 MB (1,234,567 bytes)")],
)
def test_amounts_are_told_in_powers_of_ten_and_to_the_byte(count: int, said: str) -> None:
    assert amount(count) == said


@pytest.fixture
def worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A work folder in which the data of a release was refused, and what was asked for."""
    monkeypatch.setenv("NEXUS_WORK", (tmp_path / "work").as_uri())
    monkeypatch.setenv("NEXUS_REMOTE", str(Remote(tmp_path, plant_environments).path))
    spec = bad_spec(tmp_path)
    run("release", str(spec), "--root", str(ROOT), status=3)
    return tmp_path, run("params", str(spec), "--root", str(ROOT)).output.strip()


def run(*words: str, status: int = 0) -> Any:
    done = CliRunner().invoke(nexus, words)
    ended = getattr(done.exception, "exit_status", done.exit_code)
    assert ended == status, done.exception
    return done


def test_the_pages_of_a_release_are_made_from_what_its_steps_have_left(worked: tuple[Path, str]) -> None:
    folder, params = worked
    run("evidence", "validate", "--params", params, "--into", str(folder / "data"))
    run("evidence", "summary", "--params", params, "--into", str(folder / "all"))
    assert {path.name for path in (folder / "data").iterdir()} == {"page.html", "page.md", "figures.json", "left.json"}
    assert {path.name for path in (folder / "all").iterdir()} == {"page.html", "page.md", "figures.json"}
    assert json.loads((folder / "data/figures.json").read_text())["rows.refused"] == 10
    assert json.loads((folder / "data/left.json").read_text())["uri"].startswith("file://")
    assert "row 1, (row): is JSON" in Tags((folder / "data/page.html").read_text()).text
    assert "refused" in (folder / "all/page.md").read_text()


def test_the_same_release_has_the_same_pages(worked: tuple[Path, str]) -> None:
    folder, params = worked
    for name in ("one", "other"):
        run("evidence", "validate", "--params", params, "--into", str(folder / name))
    for path in (folder / "one").iterdir():
        assert path.read_bytes() == (folder / "other" / path.name).read_bytes()


def test_a_step_that_has_not_run_has_no_page(worked: tuple[Path, str]) -> None:
    folder, params = worked
    done = run("evidence", "train", "--params", params, "--into", str(folder / "x"), status=1)
    assert "train has left no result" in str(done.exception)
    done = run("evidence", "dance", "--params", params, "--into", str(folder / "x"), status=2)
    assert "validate, fit" in str(done.exception)
    assert not (folder / "x").exists()
