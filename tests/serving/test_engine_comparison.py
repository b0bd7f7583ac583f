"""`make bench-engines` as a command: what it compares, what it refuses, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..bench import engines as comparison
from ..bench.connection import Target
from ..bench.figures import figures
from ..bench.load import closed_loop
from ..bench.questions import Question
from ..support.checkpoints import write_llama
from ..support.repository import ROOT
from ..support.scripted_engine import ScriptedEngine
from ..support.tls import Authority
from ..support.worker import poll

ANSWER = Question("answer", 5)


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as started:
        yield started


def target(engine: ScriptedEngine) -> Target:
    return Target("scripted", engine.url, "scripted")


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["engines", str(folder / "page.md"), str(folder / "figures.json"), *words])
    return comparison.main()


def test_the_report_holds_every_engine_against_the_baseline_under_every_load(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedEngine() as other:
        other.version = "1.2.3"
        both = f"one={engine.url} two={other.url}/v1"
        few = ("--rounds=2", "--requests=3", "--clients", "1", "2", "--rates", "50", "--baseline=two")
        assert run(monkeypatch, tmp_path, "--engines", both, *few) == 0
        asked = [[one["messages"][0]["content"] for one in each.asked] for each in (engine, other)]
    page, rows = (tmp_path / "page.md").read_text(), json.loads((tmp_path / "figures.json").read_text())
    assert [(row["case"], row["engine"]) for row in rows] == [
        (case, name) for case in ("closed, 1", "closed, 2", "open, 50/s") for name in ("one", "two")
    ]
    assert all(row["figures"]["errors"] == {} for row in rows)
    assert [row["figures"]["answered"] for row in rows] == [6, 6, 12, 12, 6, 6]
    assert sorted(asked[1]) == sorted(asked[0][-len(asked[1]) :]), "each engine is asked the same"
    assert {row["ratios"]["tokens/s"]["middle"] for row in rows if row["engine"] == "two"} == {1.0}
    for said in ("Baseline: `two`", "| `two` | 1.2.3 |", "| `one` | not told |", "| not told | closed, 2 | `one` |"):
        assert said in page
    assert "{" not in page


def test_an_engine_that_answers_nothing_fails_the_comparison(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [Question("refuse", 1)] * 3
    monkeypatch.setattr(comparison, "questions", lambda *_: refused)
    few = ("--rounds=1", "--clients", "1", "--rates")
    assert run(monkeypatch, tmp_path, "--engines", f"one={engine.url}", *few) == 1
    assert "3 status 503" in (tmp_path / "page.md").read_text()


def test_an_endpoint_by_tls_is_measured_where_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "authority")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.certificate("engine"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    with ScriptedEngine(tls=tls) as engine:
        few = ("--rounds=1", "--requests=3", "--clients", "2", "--rates", "50")
        assert run(monkeypatch, tmp_path, "--engines", f"one={engine.url}/v1", *few) == 0
        monkeypatch.delenv("SSL_CERT_FILE")
        assert figures([closed_loop(target(engine), [ANSWER], 1)]).errors == {"not connected": 1}
        with pytest.raises(SystemExit, match="2"):
            run(monkeypatch, tmp_path, "--engines", f"one={engine.url}", *few)
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert [(row["figures"]["answered"], row["figures"]["errors"]) for row in rows] == [(6, {}), (3, {})]


@pytest.mark.parametrize(("load", "crowded"), [(4.0, False), (4.5, True)])
def test_a_page_says_whether_the_machine_was_crowded(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float, crowded: bool
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    few = ("--rounds=1", "--requests=1", "--clients", "1", "--rates")
    assert run(monkeypatch, tmp_path, "--engines", f"one={engine.url}", *few) == 0
    page = (tmp_path / "page.md").read_text()
    assert "load average at the end: 4." in page
    assert ("The machine did other work beside the engines" in page) == crowded


def test_an_answer_may_end_where_its_model_ends_it(
    engine: ScriptedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--rounds=1", "--requests=1", "--clients", "1", "--rates")
    assert run(monkeypatch, tmp_path, "--engines", f"one={engine.url}", "--no-ignore-eos", *few) == 0
    assert "ignore_eos" not in engine.asked[-1]
    assert "An answer ended where its model ended it" in (tmp_path / "page.md").read_text()
    assert run(monkeypatch, tmp_path, "--engines", f"one={engine.url}", *few) == 0
    assert engine.asked[-1]["ignore_eos"] is True
    assert "An answer ended where its model ended it" not in (tmp_path / "page.md").read_text()


STARTED = """
import sys
from pathlib import Path
from tests.bench import endpoints, engines

model = Path(sys.argv.pop(1))
engines.small_checkpoint = lambda folder: model  # in place of one that is trained
endpoints.VLLM = Path("nowhere")
sys.exit(engines.main())
"""


def test_who_ends_the_comparison_ends_its_engines(tmp_path: Path) -> None:
    model, said = write_llama(tmp_path / "model"), tmp_path / "said"
    words = (tmp_path / "page.md", tmp_path / "figures.json", "--rounds=1", "--requests=1", "--batches=4")
    cases = ("--clients", *["1"] * 1000)
    with said.open("wb") as log:
        bench = subprocess.Popen(
            [sys.executable, "-c", STARTED, model, *words, *cases],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stderr=log,
        )
    try:
        poll(lambda: "mock, batch 4" in said.read_text() or bench.poll() is not None, "it measures both engines")
        ports = engines_in(tmp_path)
        assert [answers(port) for port in ports] == [True, True], said.read_text()
        bench.terminate()
        bench.terminate()  # as `timeout` and `make` both pass it on
        assert bench.wait(60) == 128 + signal.SIGTERM, said.read_text()
    finally:
        bench.kill()
        bench.wait()
    assert not any(map(answers, ports))
    assert list(tmp_path.glob("nexus-bench-*")) == []


def engines_in(folder: Path) -> list[int]:
    """The ports that their logs tell."""
    logs = [log.read_text() for log in folder.glob("nexus-bench-*/*.log")]
    return [int(port) for log in logs for port in re.findall(r" on http://127\.0\.0\.1:(\d+)$", log, re.MULTILINE)]


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--engines", "vllm"], "ENGINES: 'vllm' is refused"),
        (["--engines", "vllm=ftp://engine"], "ENGINES: 'vllm=ftp://engine' is refused"),
        (["--engines", "a b=http://c"], "ENGINES: 'a' is refused"),
        (["--engines", "one={url} one={url}"], "one is named already"),
        (["--engines", "one={url}", "--baseline=two"], "--baseline: 'two' is refused: take one of one"),
        (["--engines", "one={url}", "--rounds=0"], "--rounds: 0 is refused: give 1 or more"),
        (["--engines", "one={url}", "--clients", "0"], "--clients: 0 is refused"),
        (["--engines", "one={url}", "--rates", "nan"], "--rates: nan is refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_compared_is_named_before_anything_is_measured(
    engine: ScriptedEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    before = len(engine.asked)
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, tmp_path, *(word.format(url=engine.url) for word in words))
    assert told in capsys.readouterr().err
    assert len(engine.asked) == before


def test_an_endpoint_that_lists_no_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedEngine() as engine:
        engine.models = []
        with pytest.raises(SystemExit, match="2"):
            run(monkeypatch, tmp_path, "--engines", f"one={engine.url}")
    assert "it lists no model" in capsys.readouterr().err
