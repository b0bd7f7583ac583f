"""Scores and decodes checkpoints by the worker's own engine, so that what is measured is what is served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_release.errors import BadInput
from nexus_release.ports import Chat, CheckpointPair, LoadedModel, Question, RowScore, TensorPair

if TYPE_CHECKING:
    from numpy import ndarray

    from nexus_worker.checkpoint import Checkpoint
    from nexus_worker.engines.ct2 import Ct2Model

_EMBEDDING, _PROJECTION = "model.embed_tokens.weight", "lm_head.weight"
_ROWS_AT_ONCE = 8
_SUM_TOLERANCE = 1e-3  # far above what float32 loses over a vocabulary


class CTranslateEvaluator:
    """The port `Evaluator`."""

    @property
    def engine(self) -> str:
        from nexus_worker.engines.ct2 import ENGINE

        return ENGINE

    def load(self, model: Path, *, compute_type: str) -> LoadedModel:
        from nexus_worker.engines.ct2 import Ct2Model

        with _told(model.name):
            return _Loaded(model.name, Ct2Model.load(model, compute_type=compute_type))


class _Loaded:
    """The port `LoadedModel`."""

    def __init__(self, name: str, model: Ct2Model) -> None:
        self._name, self._model = name, model

    def score(self, chats: Sequence[Chat], *, max_tokens: int) -> list[RowScore]:
        with _told(self._name):
            rows = [_tokens(self._model, chat, max_tokens) for chat in chats]
        return [
            score
            for start in range(0, len(rows), _ROWS_AT_ONCE)
            for score in _score(self._model, rows[start : start + _ROWS_AT_ONCE])
        ]

    def weigh(self, questions: Sequence[Question]) -> list[list[float]]:
        with _told(self._name):
            return [_weighed(self._model, question) for question in questions]

    def answer(self, chats: Sequence[Chat], *, max_tokens: int) -> list[str]:
        with _told(self._name):
            return [_answer(self._model, chat, max_tokens) for chat in chats]


@contextmanager
def _told(checkpoint: str) -> Iterator[None]:
    """The engine's own errors as ours."""
    from nexus_worker.chat_template import BadMessages
    from nexus_worker.checkpoint import BadCheckpoint

    try:
        yield
    except (BadCheckpoint, BadMessages) as error:
        raise BadInput("checkpoint", checkpoint, str(error)) from error


def _tokens(model: Ct2Model, chat: Chat, limit: int) -> list[int]:
    text = model.render_chat(chat, add_generation_prompt=False)
    return _encoded(model, text)[: min(limit, model.context_tokens)]


def _score(model: Ct2Model, rows: Sequence[list[int]]) -> list[RowScore]:
    scored = []
    for ids, found in zip(rows, model.log_probs(rows), strict=True):
        given, truth = found[:-1], ids[1:]  # the last position predicts what is not in the row
        values = given[range(len(truth)), truth]
        values[~_distributions(given)] = nan
        scored.append(RowScore(tokens=truth, log_probabilities=values.tolist(), choices=given.argmax(axis=1).tolist()))
    return scored


def _weighed(model: Ct2Model, question: Question) -> list[float]:
    """As lm-evaluation-harness has it (lm_eval/api/model.py, `_encode_pair`): a choice's tokens are those that the
    whole has after as many as the question alone has. Of what is too long the beginning is left out."""
    prompt = model.render_chat(question.asked, add_generation_prompt=True)
    asked = len(_encoded(model, prompt))
    rows, answers = [], []
    for choice in question.choices:
        ids = _encoded(model, prompt + choice)
        answers.append(min(len(ids) - asked, model.context_tokens - 1))
        rows.append(ids[-model.context_tokens :])
    scores = _score(model, rows)
    return [
        sum(score.log_probabilities[-count:]) if count > 0 else nan
        for score, count in zip(scores, answers, strict=True)
    ]


def _answer(model: Ct2Model, chat: Chat, limit: int) -> str:
    ids = _encoded(model, model.render_chat(chat, add_generation_prompt=True))
    room = max(1, min(limit, model.context_tokens - len(ids)))
    (result,) = model.generator.generate_batch(
        [[str(token) for token in ids[: model.context_tokens - 1]]],
        max_length=room,
        sampling_topk=1,
        end_token=sorted(model.end_tokens),
        include_prompt_in_result=False,
    )
    return str(model.tokenizer.decode(result.sequences_ids[0], skip_special_tokens=True))


def _encoded(model: Ct2Model, text: str) -> list[int]:
    return list(model.tokenizer.encode(text, add_special_tokens=False).ids)


def _distributions(log_probabilities: ndarray) -> ndarray:
    """Positions whose probabilities sum up to 1. Logits beyond float32's precision give every token the same log of 0,
    which would look like certainty."""
    import numpy

    with numpy.errstate(over="ignore"):
        sums: ndarray = numpy.exp(log_probabilities, dtype=numpy.float64).sum(axis=1)
        sound: ndarray = abs(sums - 1) < _SUM_TOLERANCE
    return sound


class DecodedWeights:
    """The port `Weights`."""

    def pair(self, base: Path, candidate: Path) -> CheckpointPair:
        from nexus_worker.checkpoint import Checkpoint

        with _told(candidate.name):
            before, after = Checkpoint(base), Checkpoint(candidate)
        ours, theirs = before.modules(), after.modules()
        places = {name: name for name in theirs if name in ours}
        if before.architecture.tied and _PROJECTION in theirs and _PROJECTION not in ours:
            places[_PROJECTION] = _EMBEDDING  # which is what a tied projection is
        return CheckpointPair(
            base_bytes=before.bytes(),
            candidate_bytes=after.bytes(),
            missing=sorted(ours.keys() - theirs.keys()),
            added=sorted(theirs.keys() - places.keys()),
            tensors=_pairs(before, after, places, theirs),
        )


def _pairs(
    before: Checkpoint, after: Checkpoint, places: Mapping[str, str], quantized: Mapping[str, bool]
) -> Iterator[TensorPair]:
    for name, place in sorted(places.items()):
        with _told(name):
            base = before.plain(place)
            found = _decoded(name, base, after) if quantized[name] else TensorPair(name, base, after.plain(name))
        if found.candidate.shape != base.shape:
            raise BadInput(name, list(found.candidate.shape), f"its base has the shape {list(base.shape)}")
        yield found


def _decoded(name: str, base: ndarray[Any, Any], after: Checkpoint) -> TensorPair:
    import numpy

    if base.ndim != 2 or after.scheme is None:
        raise BadInput(name, list(base.shape), "only matrices are quantized")
    found = after.quantized(name.removesuffix(".weight"), *base.shape)
    group = after.scheme.group if after.scheme.strategy == "group" else None
    with numpy.errstate(over="ignore"):
        values = found.values
    if not numpy.isfinite(values).all():  # each scale is a number, and so is each weight, but not what they multiply to
        raise BadInput(name, f"scales up to {found.scales.max():.3g}", "its weights are beyond float32")
    return TensorPair(name, base, values, found.numbers, found.scales, after.scheme.range, group)
