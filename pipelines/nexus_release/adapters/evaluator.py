"""Scores checkpoints by the worker's own engine, so that what is measured is what is served."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_release.errors import BadInput
from nexus_release.ports import Chat, RowScore

if TYPE_CHECKING:
    from numpy import ndarray

    from nexus_worker.engines.ct2 import Ct2Model

_ROWS_AT_ONCE = 8
_SUM_TOLERANCE = 1e-3  # far above what float32 loses over a vocabulary


class CTranslateEvaluator:
    """The port `Evaluator`."""

    @property
    def engine(self) -> str:
        from nexus_worker.engines.ct2 import ENGINE

        return ENGINE

    def score(self, model: Path, chats: Sequence[Chat], *, max_tokens: int, compute_type: str) -> list[RowScore]:
        from nexus_worker.chat_template import BadMessages
        from nexus_worker.checkpoint import BadCheckpoint
        from nexus_worker.engines.ct2 import Ct2Model

        try:
            loaded = Ct2Model.load(model, compute_type=compute_type)
            rows = [_tokens(loaded, chat, max_tokens) for chat in chats]
        except (BadCheckpoint, BadMessages) as error:
            raise BadInput("checkpoint", model.name, str(error)) from error
        return [
            score
            for start in range(0, len(rows), _ROWS_AT_ONCE)
            for score in _score(loaded, rows[start : start + _ROWS_AT_ONCE])
        ]


def _tokens(model: Ct2Model, chat: Chat, limit: int) -> list[int]:
    text = model.render_chat(chat, add_generation_prompt=False)
    ids = model.tokenizer.encode(text, add_special_tokens=False).ids
    return list(ids[: min(limit, model.context_tokens)])


def _score(model: Ct2Model, rows: Sequence[list[int]]) -> list[RowScore]:
    scored = []
    for ids, found in zip(rows, model.log_probs(rows), strict=True):
        given, truth = found[:-1], ids[1:]  # the last position predicts what is not in the row
        values = given[range(len(truth)), truth]
        values[~_distributions(given)] = nan
        scored.append(RowScore(tokens=truth, log_probabilities=values.tolist(), choices=given.argmax(axis=1).tolist()))
    return scored


def _distributions(log_probabilities: ndarray) -> ndarray:
    """Positions whose probabilities sum up to 1. Logits beyond float32's precision give every token the same log of 0,
    which would look like certainty."""
    import numpy

    with numpy.errstate(over="ignore"):
        sums: ndarray = numpy.exp(log_probabilities, dtype=numpy.float64).sum(axis=1)
        sound: ndarray = abs(sums - 1) < _SUM_TOLERANCE
    return sound
