"""Scores checkpoints by the worker's own engine, so that what is measured is what is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nexus_release.errors import BadInput
from nexus_release.ports import RowScore

if TYPE_CHECKING:
    from nexus_worker.engines.ct2 import Ct2Model

_ROWS_AT_ONCE = 8
_TOKENS = 512  # of each row; a checkpoint's context may be shorter, then that


class CTranslateEvaluator:
    """The port `Evaluator`."""

    @property
    def engine(self) -> str:
        from nexus_worker.engines.ct2 import ENGINE

        return ENGINE

    def score(self, model: Path, texts: Sequence[str], *, compute_type: str) -> list[RowScore]:
        from nexus_worker.checkpoint import BadCheckpoint
        from nexus_worker.engines.ct2 import Ct2Model

        try:
            loaded = Ct2Model.load(model, compute_type=compute_type)
        except BadCheckpoint as error:
            raise BadInput("checkpoint", model.name, str(error)) from error
        limit = min(_TOKENS, loaded.context_tokens)
        rows = [loaded.tokenizer.encode(text, add_special_tokens=False).ids[:limit] for text in texts]
        return [
            score
            for start in range(0, len(rows), _ROWS_AT_ONCE)
            for score in _score(loaded, rows[start : start + _ROWS_AT_ONCE])
        ]


def _score(model: Ct2Model, rows: Sequence[Sequence[int]]) -> list[RowScore]:
    scored = []
    for ids, found in zip(rows, model.log_probs(rows), strict=True):
        given = found[:-1]  # the last position predicts what is not in the row
        truth = list(ids[1:])
        scored.append(
            RowScore(log_probabilities=given[range(len(truth)), truth].tolist(), choices=given.argmax(axis=1).tolist())
        )
    return scored
