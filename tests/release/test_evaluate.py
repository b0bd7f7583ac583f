"""The gate on real checkpoints: a good one passes with figures, a broken one is refused and never a crash."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nexus_release.digests import digest_bytes
from nexus_release.errors import BadInput, Missing
from nexus_release.frozen import Artifact
from nexus_release.schemes import Scheme
from nexus_release.steps.evaluate import EvaluateIn, EvaluateOut, QualityGate, evaluate
from nexus_release.suite import GoldenPrompt, Suite, TaskFile

from ..support.damage import cut, damaged
from ..support.trained import Trained

pytestmark = pytest.mark.train

GATE = QualityGate(resamples=200)


def evaluated(
    trained: Trained, artifact: Artifact, *, base: Artifact | None = None, suite: Suite | None = None
) -> EvaluateOut:
    given = EvaluateIn(
        base=base or trained.out.model,
        artifact=artifact,
        dataset=trained.dataset,
        suite=suite or Suite(),
        gate=GATE,
    )
    return evaluate(given, trained.tools)


def shuffled(data: bytes) -> bytes:
    """The same weights in other places."""
    values = list(data)
    random.Random(0).shuffle(values)
    return bytes(values)


@pytest.mark.parametrize("scheme", ["FP8_DYNAMIC", "W8A8"])
def test_a_good_quantization_passes_with_figures(trained: Trained, scheme: Scheme) -> None:
    artifact = trained.quantize(scheme)
    out = evaluated(trained, artifact)
    assert out.accepted, out.reason
    perplexity, agreement, accuracy = out.figures
    assert (perplexity.name, agreement.name, accuracy.name) == ("perplexity", "agreement", "accuracy")
    assert float(perplexity.low) <= float(perplexity.value) <= float(perplexity.high) <= 0.05
    assert 0.9 <= float(agreement.low) <= float(agreement.value) <= 1
    assert 1 < float(perplexity.base) < 384  # better than guessing among the vocabulary
    assert (out.engine[:12], out.base_compute_type, out.compute_type) == ("ctranslate2 ", "float32", "float32")
    assert out.tokens > 10 * out.rows > 0
    assert out == evaluated(trained, artifact)


def test_a_model_is_as_good_as_itself(trained: Trained) -> None:
    perplexity, agreement, accuracy = evaluated(trained, trained.out.model).figures
    assert (perplexity.value, perplexity.high, agreement.low) == ("0", "0", "1.000")
    assert (accuracy.value, accuracy.base) == ("0", accuracy.candidate)


BROKEN: dict[str, Callable[[Path, Path], Path]] = {
    "a layer's weights zeroed": lambda source, into: damaged(source, into, "layers.0.mlp.down_proj.weight", _zeroed),
    "a layer's weights in disorder": lambda source, into: damaged(
        source, into, "layers.0.mlp.down_proj.weight", shuffled
    ),
    "every scale doubled": lambda source, into: damaged(source, into, "weight_scale", _doubled),
}


def _zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def _doubled(data: bytes) -> bytes:
    """bfloat16: one more in the exponent, which begins at bit 7."""
    values = [int.from_bytes(data[at : at + 2], "little") + (1 << 7) for at in range(0, len(data), 2)]
    return b"".join(value.to_bytes(2, "little") for value in values)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_checkpoint_that_is_worse_is_refused_by_its_figures(trained: Trained, tmp_path: Path, fault: str) -> None:
    good = trained.tools.store.get(trained.quantize("W8A8").digest)
    out = evaluated(trained, trained.tools.store.put(BROKEN[fault](good, tmp_path / "broken")))
    assert not out.accepted
    assert out.reason.startswith("not as good as its base: ")
    assert not all(figure.passed for figure in out.figures)


def test_logits_beyond_the_precision_of_floats_are_refused_and_no_crash(trained: Trained, tmp_path: Path) -> None:
    huge = damaged(
        trained.folder, tmp_path / "huge", "lm_head.weight", lambda data: b"\x00\x50\x00\xd0" * (len(data) // 4)
    )
    out = evaluated(trained, trained.tools.store.put(huge))
    assert (out.accepted, out.figures) == (False, ())
    assert out.reason == "the quantized checkpoint gives numbers that are no probabilities"


@pytest.mark.parametrize("fault", ["numbers that are none", "cut short", "no template", "no weights"])
def test_a_checkpoint_that_does_not_load_is_refused_and_no_crash(trained: Trained, tmp_path: Path, fault: str) -> None:
    good, into = trained.tools.store.get(trained.quantize("W8A8").digest), tmp_path / "broken"
    match fault:
        case "numbers that are none":
            damaged(good, into, "layers.1.mlp.down_proj.weight_scale", lambda data: b"\xff" * len(data))
        case "cut short":
            cut(good, into)
        case "no template" | "no weights":
            shutil.copytree(good, into)
            (into / {"no template": "chat_template.jinja", "no weights": "model.safetensors"}[fault]).unlink()
    out = evaluated(trained, trained.tools.store.put(into))
    assert (out.accepted, out.figures) == (False, ())
    assert out.reason.startswith("the quantized checkpoint does not load: ")


def test_a_checkpoint_with_another_tokenizer_is_refused(trained: Trained, tmp_path: Path) -> None:
    good, into = trained.tools.store.get(trained.quantize("W8A8").digest), tmp_path / "other"
    shutil.copytree(good, into)
    tokenizer = json.loads((into / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:10]
    (into / "tokenizer.json").write_text(json.dumps(tokenizer))
    out = evaluated(trained, trained.tools.store.put(into))
    assert (out.accepted, out.reason) == (
        False,
        "the quantized checkpoint splits texts into other tokens than its base",
    )


def test_a_base_that_does_not_load_is_an_error_and_no_verdict(trained: Trained, tmp_path: Path) -> None:
    broken = trained.tools.store.put(cut(trained.folder, tmp_path / "broken"))
    with pytest.raises(BadInput, match="checkpoint"):
        evaluated(trained, trained.quantize("W8A8"), base=broken)


def taken(trained: Trained, tmp_path: Path, *lines: dict[str, object]) -> TaskFile:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return TaskFile(name="sums", uri=str(path), digest=digest_bytes(path.read_bytes()))


def test_a_task_file_is_asked_in_place_of_held_out_rows_and_both_answers_are_evidence(
    trained: Trained, tmp_path: Path
) -> None:
    lines: list[dict[str, object]] = [
        {"context": f"What is {n} plus {n}?", "choices": [f"The sum of {n} and {n} is {2 * n}.", "zebra"], "answer": 0}
        for n in range(40)
    ]
    suite = Suite(tasks=(taken(trained, tmp_path, *lines),))
    out = evaluated(trained, trained.quantize("W8A8"), suite=suite)
    accuracy = out.figures[2]
    assert out.accepted, out.reason
    assert (accuracy.name, accuracy.subject, accuracy.base, accuracy.candidate) == (
        "accuracy",
        "sums",
        "1.000",
        "1.000",
    )
    assert accuracy.low == "-0.08762"  # z^2 / (40 + z^2): what 40 questions cannot tell
    report = evidence(trained, out, "report.json")
    assert [one["candidate"] for one in report["questions"]] == [0] * 40
    assert len(evidence(trained, out, "suite.json")["questions"]) == 40
    assert out.suite != evaluated(trained, trained.quantize("W8A8")).suite


def test_too_few_questions_prove_nothing_and_are_refused(trained: Trained, tmp_path: Path) -> None:
    few = taken(trained, tmp_path, {"context": "What is 1 plus 1?", "choices": ["2", "zebra"], "answer": 0})
    out = evaluated(trained, trained.quantize("W8A8"), suite=Suite(tasks=(few,)))
    assert not out.accepted
    assert "accuracy of sums 1.000, base 1.000: 0 (-0.7935 to 0.7935), at least -0.1" in out.reason


def test_rows_that_make_no_question_leave_accuracy_unproved_and_are_refused(trained: Trained, tmp_path: Path) -> None:
    held_out = (trained.tools.store.get(trained.dataset) / "holdout.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in held_out]
    for row in rows:
        row["messages"][-1]["content"] = "yes"
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/holdout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    alike = replace(trained, dataset=trained.tools.store.put(tmp_path / "rows").digest)
    out = evaluated(alike, trained.out.model)
    assert (out.accepted, out.figures) == (False, ())
    assert out.reason.endswith("name a task in the suite")


def test_golden_prompts_must_all_hold(trained: Trained) -> None:
    artifact = trained.quantize("W8A8")
    loaded = trained.tools.evaluator.load(trained.tools.store.get(artifact.digest), compute_type="float32")
    asked = "What is 5 plus 5?"
    (answer,) = loaded.answer([[{"role": "user", "content": asked}]], max_tokens=128)
    known = GoldenPrompt(prompt=asked, exact=answer)
    kept = evaluated(trained, artifact, suite=Suite(golden=(known,)))
    assert kept.accepted, kept.reason
    broken = GoldenPrompt(prompt="What is 6 plus 6?", contains=("a word that it never says",))
    out = evaluated(trained, artifact, suite=Suite(golden=(known, broken)))
    assert out.reason == ("not as good as its base: golden prompts of What is 6 plus 6? 1, at least 2")
    told = evidence(trained, out, "report.json")["golden"]
    assert [one["holds"] for one in told] == [True, False]
    assert told[0]["candidate"] == answer


def test_a_task_that_is_not_there_is_an_error_and_no_verdict(trained: Trained, tmp_path: Path) -> None:
    task = TaskFile(name="sums", uri=str(tmp_path / "none.jsonl"), digest="sha256:" + "0" * 64)
    with pytest.raises(Missing):
        evaluated(trained, trained.quantize("W8A8"), suite=Suite(tasks=(task,)))


def evidence(trained: Trained, out: EvaluateOut, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((trained.tools.store.get(out.evidence) / name).read_text())
    return found
