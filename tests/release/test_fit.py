"""The step that plans, and the release that it ends before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nexus_release.capacity.target import FitGate, Target
from nexus_release.config import load_settings
from nexus_release.gates import REPORT
from nexus_release.graph import ReleaseParams
from nexus_release.release import run_release
from nexus_release.steps.fit import FitIn, FitOut, fit, planned_shape
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainRecipe
from nexus_release.steps.validate import DataGate
from nexus_release.suite import Suite
from nexus_release.wiring import Connections, Tools

from ..support.datasets import rows
from ..support.repository import ROOT

TARGET = load_settings(ROOT, "local").target
CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "dtype": "float32",
}


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=tmp_path.as_uri(), registry="http://127.0.0.1:9", remote="none"))


def fitted(tools: Tools, target: Target = TARGET, **recipe: Any) -> FitOut:
    given = FitIn(train=TrainRecipe(**recipe), quantize=QuantizeRecipe(), target=target, gate=FitGate())
    return fit(given, tools)


def test_a_model_that_fits_says_how_and_leaves_every_part_of_its_memory(tools: Tools) -> None:
    out = fitted(tools)
    assert (out.accepted, out.reason) == (True, "8 requests of 1024 tokens at once fit on the CPU")
    report = json.loads((tools.store.get(out.evidence) / REPORT).read_text())
    assert report["placement"]["weights"] == 4 * out.shape.parameters
    assert report["target"]["memory"] == 1 << 30
    assert [one["name"] for one in report["figures"]] == ["memory", "context"]
    assert out == fitted(tools)


def test_a_model_that_does_not_fit_is_refused_and_its_evidence_says_where_the_memory_goes(tools: Tools) -> None:
    out = fitted(tools, hidden=2048, intermediate=8192, layers=24)
    assert not out.accepted
    assert out.reason.startswith("0 tokens of context are possible for 8 requests at once on the pod")
    memory, context = out.figures
    assert (memory.passed, context.passed, context.value) == (False, False, "0")
    assert json.loads((tools.store.get(out.evidence) / REPORT).read_text())["placement"]["refusal"] == out.reason


def test_a_named_base_is_planned_by_its_configuration_alone(tools: Tools, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(CONFIG))
    as_it_is = planned_shape(TrainRecipe(base=base.as_uri(), steps=0), tools)
    assert (as_it_is.layers, as_it_is.context, as_it_is.width) == (2, 2048, 4)
    trained = planned_shape(TrainRecipe(base=base.as_uri(), steps=1), tools)
    assert trained == as_it_is.model_copy(update={"width": 2})  # training writes what the recipe says: bfloat16


def test_the_gpu_s_capability_is_among_the_figures(tools: Tools) -> None:
    target = load_settings(ROOT, "prod").target
    out = fitted(tools, target)
    assert out.accepted, out.reason
    assert [(one.name, one.value, one.subject) for one in out.figures[2:]] == [
        ("compute capability", "9.000", "H100-80GB")
    ]


def asked(tools: Tools, **target: int) -> ReleaseParams:
    path = tools.work / "data.jsonl"
    path.write_bytes(rows(200))
    gates = load_settings(ROOT, "local").gates
    return ReleaseParams(
        model="chat",
        environment="local",
        dataset=str(path),
        train=TrainRecipe(),
        quantize=QuantizeRecipe(),
        suite=Suite(),
        target=TARGET.model_copy(update=target),
        data_gate=DataGate(min_rows=10, holdout_share=0.2),
        fit_gate=gates.fit,
        artifact_gate=gates.artifact,
        quality_gate=gates.quality,
        reason=None,
    )


def test_a_release_that_would_not_fit_ends_before_it_trains(tools: Tools) -> None:
    ended = run_release(asked(tools, memory=64 << 20), tools)
    assert ended.outcome == "refused"
    assert ended.reason.startswith("fit: 0 tokens of context are possible")
    assert [*ended.outs] == ["validate", "fit"]
