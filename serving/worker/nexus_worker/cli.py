"""The command `nexus-worker`. Flags have vLLM's names, so that one InferenceService fits either engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus_worker.errors import BadOption, WorkerError

if TYPE_CHECKING:
    from nexus_worker.answering import Answering
    from nexus_worker.engines.engine import Engine
    from nexus_worker.server import Beside

_MOCK_CONTEXT = 4096  # tokens; nothing limits a mock but what is said


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nexus-platform", prog_name="nexus-worker")
def worker() -> None:
    """Serve a model on the CPU under OpenAI's API."""


@worker.command()
@click.argument("folder", required=False, metavar="[MODEL_FOLDER]")
@click.option("--model", help="The same as MODEL_FOLDER.")
@click.option("--served-model-name", help="The name that clients use.  [default: the folder as given]")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes any free port.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Answer by gRPC too; 0 takes any free port.")
@click.option("--max-model-len", type=click.IntRange(2), help="Tokens of prompt and answer.  [default: the model's]")
@click.option("--max-num-seqs", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at once.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="For each request.")
@click.option("--engine", type=click.Choice(["ctranslate2", "mock"]), default="ctranslate2", show_default=True)
@click.option("--compute-type", type=click.Choice(["auto", "float32", "int8"]), default="auto", show_default=True)
@click.option("--enable-force-include-usage", is_flag=True, help="End every stream with its usage.")
@click.option(
    "--shutdown-timeout", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds to drain."
)
@click.option("--ttft-ms", type=click.FloatRange(0), default=20.0, show_default=True, help="Mock: to the first token.")
@click.option(
    "--tokens-per-second", type=click.FloatRange(0), default=100.0, show_default=True, help="Mock; 0: at once."
)
def serve(
    *,
    folder: str | None,
    model: str | None,
    served_model_name: str | None,
    host: str,
    port: int,
    grpc_port: int | None,
    max_model_len: int | None,
    max_num_seqs: int,
    threads: int,
    engine: str,
    compute_type: str,
    enable_force_include_usage: bool,
    shutdown_timeout: float,
    ttft_ms: float,
    tokens_per_second: float,
) -> None:
    """Serve MODEL_FOLDER, a checkpoint of transformers or llm-compressor, until SIGTERM."""
    import logging

    from nexus_worker.answering import Answering
    from nexus_worker.server import listen
    from nexus_worker.server import serve as run

    logging.basicConfig(format="nexus-worker: %(levelname)s %(message)s", level=logging.WARNING)
    where = _one_of(folder, model)
    if engine == "mock":
        from nexus_worker.engines.mock import MockEngine

        loaded: Engine = MockEngine(
            ttft_ms=ttft_ms,
            tokens_per_second=tokens_per_second,
            max_num_seqs=max_num_seqs,
            context=max_model_len or _MOCK_CONTEXT,
        )
    else:
        if where is None:
            raise BadOption("MODEL_FOLDER", None, "name the folder of a checkpoint, or take --engine mock")
        loaded = _load(Path(where), compute_type, threads, max_num_seqs, max_model_len)
    answering = Answering(loaded, model=served_model_name or where or "mock", always_usage=enable_force_include_usage)
    listener = listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    click.echo(f"nexus-worker: {answering.model} by {loaded.name}, {loaded.context} tokens, on {address}", err=True)
    run(answering, listener, shutdown_timeout=shutdown_timeout, beside=_beside(answering, host, grpc_port))


def _beside(answering: Answering, host: str, port: int | None) -> Beside | None:
    if port is None:
        return None
    from nexus_worker.grpc_server import GrpcServer

    return GrpcServer(
        answering, host, port, lambda address: click.echo(f"nexus-worker: by gRPC on {address}", err=True)
    )


def _one_of(folder: str | None, model: str | None) -> str | None:
    if folder and model and folder != model:
        raise BadOption("--model", model, f"MODEL_FOLDER already names {folder}")
    return folder or model


def _load(folder: Path, compute_type: str, threads: int, max_num_seqs: int, max_model_len: int | None) -> Engine:
    from nexus_worker.engines.ct2 import Ct2Engine, Ct2Model

    model = Ct2Model.load(folder, compute_type, threads=threads, parallel=max_num_seqs)
    if max_model_len and max_model_len > model.context_tokens:
        raise BadOption("--max-model-len", max_model_len, f"the model was made for {model.context_tokens}")
    context = max_model_len or model.context_tokens
    return Ct2Engine(model, max_num_seqs=max_num_seqs, context=context, name=model.name)


def main() -> None:
    """Ends with 0 (drained), 1 (the checkpoint may not be served) or 2 (bad option)."""
    try:
        sys.exit(worker.main(standalone_mode=False))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except WorkerError as error:
        click.echo(f"nexus-worker: {error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
