"""What KFP shows of a release, opened in a real Chromium: rendered whole, without an error, asking nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.evidence.html import html_text
from nexus_release.evidence.page import Changes, Facts, Page, Said, Text
from nexus_release.graph import NODES

from ..chaos.world import World
from ..support.browser import Browser, Opened
from ..support.kfp_home import KfpHome, KfpRun


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole_by_kfp(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> KfpRun:
    folder = tmp_path_factory.mktemp("whole-by-kfp")
    world = World.first(folder / "world", mlflow_server)
    home = KfpHome(folder / "kfp", {"MLFLOW_TRACKING_URI": mlflow_server, "NEXUS_REMOTE": str(world.remote.path)})
    return home.run(world.folder / "spec.yaml", world.folder / "root")


def page_of(run: KfpRun, task: str, folder: Path) -> Path:
    """KFP's file has no ending, by which a browser knows what it is."""
    page = folder / f"{task}.html"
    page.write_bytes((run.folder / task / "page").read_bytes())
    return page


def assert_quiet(opened: Opened, page: Path) -> None:
    assert opened.complaints == []
    assert opened.asked == [page.as_uri()]


def test_a_refusal_is_shown_by_the_step_and_by_the_summary(
    browser: Browser, refused_by_kfp: tuple[KfpRun, Path], tmp_path: Path
) -> None:
    run, _ = refused_by_kfp
    for task in ("validate", "summary"):
        page = page_of(run, task, tmp_path)
        opened = browser.open(page)
        assert "refused" in browser.value(opened, "document.querySelector('.said.bad').innerText")
        assert "10 of 10 rows break the contract" in browser.value(opened, "document.body.innerText")
        assert_quiet(opened, page)


@pytest.mark.train
@pytest.mark.services
@pytest.mark.timeout(900)  # a whole release, a process for each step
def test_a_whole_release_has_a_task_for_each_step_and_a_summary(whole_by_kfp: KfpRun) -> None:
    assert whole_by_kfp.status == 0, whole_by_kfp.said
    assert whole_by_kfp.outcome()["outcome"] == "done"
    assert whole_by_kfp.tasks == {*NODES, "summary"}


@pytest.mark.train
@pytest.mark.services
@pytest.mark.timeout(900)  # a whole release, a process for each step
def test_the_gate_s_verdict_has_an_interval_for_each_figure(
    browser: Browser, whole_by_kfp: KfpRun, tmp_path: Path
) -> None:
    page = page_of(whole_by_kfp, "evaluate", tmp_path)
    opened = browser.open(page)
    assert "accepted" in browser.value(opened, "document.querySelector('.said.good').innerText")
    (found,) = [step["out"] for step in whole_by_kfp.outcome()["steps"] if step["step"] == "evaluate"]
    figures = [one["name"] for one in found["figures"]]
    labels = "[...document.querySelectorAll('svg.interval')].map(plot => plot.getAttribute('aria-label'))"
    plots = browser.value(opened, labels)
    assert [plot.split(" ")[0] for plot in plots] == figures
    drawn = "[...document.querySelectorAll('svg.interval circle')].map(dot => dot.getBoundingClientRect().width > 5)"
    assert browser.value(opened, drawn) == [True] * len(figures)
    assert_quiet(opened, page)


@pytest.mark.train
@pytest.mark.services
@pytest.mark.timeout(900)  # a whole release, a process for each step
@pytest.mark.parametrize("task", ["fit", "train", "quantize", "inspect", "register", "render", "propose", "summary"])
def test_every_page_is_rendered_within_its_width(
    task: str, browser: Browser, whole_by_kfp: KfpRun, tmp_path: Path
) -> None:
    page = page_of(whole_by_kfp, task, tmp_path)
    opened = browser.open(page, width=420)
    assert browser.value(opened, "document.querySelector('h1').innerText")
    assert browser.value(opened, "document.documentElement.scrollWidth <= window.innerWidth")
    assert_quiet(opened, page)


def test_light_and_dark_are_the_readers(browser: Browser, refused_by_kfp: tuple[KfpRun, Path], tmp_path: Path) -> None:
    page = page_of(refused_by_kfp[0], "validate", tmp_path)
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (browser.value(browser.open(page, scheme), ground) for scheme in ("light", "dark"))
    assert light == "rgb(255, 255, 255)"
    assert dark == "rgb(22, 24, 27)"


def test_a_word_that_is_wider_than_the_page_is_broken(browser: Browser, tmp_path: Path) -> None:
    word = f"gitops/{'a' * 200}.json"
    blocks = (Said(True, "done", word), Text(word), Facts(((word, word),)), Changes(f"+{word}"))
    page = tmp_path / "wide.html"
    page.write_text(html_text(Page(word, blocks)))
    opened = browser.open(page, width=420)
    assert browser.value(opened, "document.documentElement.scrollWidth <= window.innerWidth")


def test_a_page_that_would_ask_or_fail_is_told_of(browser: Browser, tmp_path: Path) -> None:
    """Else the tests above could not fail."""
    page = tmp_path / "noisy.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('no'); throw new Error('loud')</script>")
    opened = browser.open(page)
    assert "http://127.0.0.1:9/x.png" in opened.asked
    assert any("no" in said for said in opened.complaints)
    assert any("Uncaught" in said for said in opened.complaints)
