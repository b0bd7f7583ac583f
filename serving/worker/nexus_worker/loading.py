"""From what is asked for to an engine that answers under a public name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from nexus_worker.answering import Answering, UsageTold
from nexus_worker.engines.engine import Engine
from nexus_worker.errors import BadOption

if TYPE_CHECKING:
    from nexus_worker.engines.mock.faults import Faults

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
    mock_total_tokens_per_second: float
    mock_prefill_tokens_per_second: float
    block_size: int
    num_gpu_blocks_override: int | None
    enable_prefix_caching: bool


def load_answering(options: EngineOptions, usage: UsageTold) -> Answering:
    """Raises BadOption or BadCheckpoint."""
    where = _one_of(options["folder"], options["model"])
    name = options["served_model_name"] or where or "mock"
    return Answering(_engine(where, options), model=name, usage=usage)


def load_faults(options: EngineOptions, said: Sequence[str], *, switch: bool) -> Faults | None:
    """None where there are none and none can come. Raises BadOption."""
    if not said and not switch:
        return None
    if options["engine"] != "mock":
        option, value = ("--mock-fault", said[0]) if said else ("--mock-admin", True)
        raise BadOption(option, value, "only the mock has faults; take --engine mock")
    from nexus_worker.engines.mock.faults import BadFault, Faults

    try:
        return Faults.of(said)
    except BadFault as error:
        raise BadOption("--mock-fault", list(said), str(error)) from None


def _engine(where: str | None, options: EngineOptions) -> Engine:
    if options["engine"] == "mock":
        return _mock(options)
    if where is None:
        raise BadOption("MODEL_FOLDER", None, "name the folder of a checkpoint, or take --engine mock")
    return _ct2(Path(where), options)


def _mock(options: EngineOptions) -> Engine:
    from nexus_worker.engines.mock.engine import Memory, MockEngine
    from nexus_worker.engines.mock.pace import Pace

    context, places = options["max_model_len"] or MOCK_CONTEXT, options["max_num_seqs"]
    of_a_context = -(-context // options["block_size"])
    blocks = options["num_gpu_blocks_override"] or places * of_a_context
    if blocks < of_a_context:
        mend = f"a context of {context} tokens takes {of_a_context} blocks; raise it, or lower --max-model-len"
        raise BadOption("--num-gpu-blocks-override", blocks, mend)
    pace = Pace(
        ttft_seconds=options["ttft_ms"] / 1000,
        prefill_rate=options["mock_prefill_tokens_per_second"],
        stream_rate=options["tokens_per_second"],
        total_rate=options["mock_total_tokens_per_second"],
    )
    memory = Memory(options["block_size"], blocks, options["enable_prefix_caching"])
    return MockEngine(pace, memory, max_num_seqs=places, context=context)


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
