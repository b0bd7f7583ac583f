"""From what is asked for to an engine that answers under a public name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict

from nexus_worker.answering import Answering
from nexus_worker.engines.engine import Engine
from nexus_worker.errors import BadOption

MOCK_CONTEXT = 4096  # tokens; nothing limits a mock but what is said


class EngineOptions(TypedDict):
    """By the names of the command's flags."""

    folder: str | None
    model: str | None
    """The same as `folder`."""
    served_model_name: str | None
    max_model_len: int | None
    max_num_seqs: int
    threads: int
    engine: Literal["ctranslate2", "mock"]
    compute_type: Literal["auto", "float32", "int8"]
    ttft_ms: float
    tokens_per_second: float


def load_answering(options: EngineOptions, *, always_usage: bool) -> Answering:
    """Raises BadOption or BadCheckpoint."""
    where = _one_of(options["folder"], options["model"])
    name = options["served_model_name"] or where or "mock"
    return Answering(_engine(where, options), model=name, always_usage=always_usage)


def _engine(where: str | None, options: EngineOptions) -> Engine:
    if options["engine"] == "mock":
        from nexus_worker.engines.mock import MockEngine

        return MockEngine(
            ttft_ms=options["ttft_ms"],
            tokens_per_second=options["tokens_per_second"],
            max_num_seqs=options["max_num_seqs"],
            context=options["max_model_len"] or MOCK_CONTEXT,
        )
    if where is None:
        raise BadOption("MODEL_FOLDER", None, "name the folder of a checkpoint, or take --engine mock")
    return _ct2(Path(where), options)


def _ct2(folder: Path, options: EngineOptions) -> Engine:
    from nexus_worker.engines.ct2 import Ct2Engine, Ct2Model

    parallel, asked_for = options["max_num_seqs"], options["max_model_len"]
    model = Ct2Model.load(folder, options["compute_type"], threads=options["threads"], parallel=parallel)
    if asked_for and asked_for > model.context_tokens:
        raise BadOption("--max-model-len", asked_for, f"the model was made for {model.context_tokens}")
    context = asked_for or model.context_tokens
    return Ct2Engine(model, max_num_seqs=parallel, context=context, name=model.name)


def _one_of(folder: str | None, model: str | None) -> str | None:
    if folder and model and folder != model:
        raise BadOption("--model", model, f"MODEL_FOLDER already names {folder}")
    return folder or model
