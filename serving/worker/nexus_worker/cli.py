"""The command `nexus-worker`. Flags have vLLM's names, so that one InferenceService fits either engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, Unpack

import click

from nexus_worker.errors import WorkerError

if TYPE_CHECKING:
    from nexus_worker.answering import Answering
    from nexus_worker.loading import EngineOptions
    from nexus_worker.server import Beside

F = TypeVar("F", bound=Callable[..., None])

_CONTEXT_HELP = "Tokens of prompt and answer.  [default: the model's]"
_SEQS_HELP = "Requests at once."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nexus-platform", prog_name="nexus-worker")
def worker() -> None:
    """Serve a model on the CPU under OpenAI's API."""


def _engine_options(function: F) -> F:
    """What both commands load."""
    for option in reversed(
        (
            click.argument("folder", required=False, metavar="[MODEL_FOLDER]"),
            click.option("--model", help="The same as MODEL_FOLDER."),
            click.option("--served-model-name", help="The name that clients use.  [default: the folder as given]"),
            click.option("--max-model-len", type=click.IntRange(2), help=_CONTEXT_HELP),
            click.option("--max-num-seqs", type=click.IntRange(1, 256), default=8, show_default=True, help=_SEQS_HELP),
            click.option(
                "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="For each request."
            ),
            click.option(
                "--engine", type=click.Choice(["ctranslate2", "mock"]), default="ctranslate2", show_default=True
            ),
            click.option(
                "--compute-type", type=click.Choice(["auto", "float32", "int8"]), default="auto", show_default=True
            ),
            click.option(
                "--ttft-ms", type=click.FloatRange(0), default=20.0, show_default=True, help="Mock: to the first token."
            ),
            click.option(
                "--tokens-per-second",
                type=click.FloatRange(0),
                default=100.0,
                show_default=True,
                help="Mock; 0: at once.",
            ),
        )
    ):
        function = option(function)
    return function


@worker.command()
@_engine_options
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes any free port.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Answer by gRPC too; 0 takes any free port.")
@click.option("--enable-force-include-usage", is_flag=True, help="End every stream with its usage.")
@click.option(
    "--shutdown-timeout", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds to drain."
)
def serve(
    *,
    host: str,
    port: int,
    grpc_port: int | None,
    enable_force_include_usage: bool,
    shutdown_timeout: float,
    **engine: Unpack[EngineOptions],
) -> None:
    """Serve MODEL_FOLDER, a checkpoint of transformers or llm-compressor, until SIGTERM."""
    import logging

    from nexus_worker.loading import load_answering
    from nexus_worker.server import listen
    from nexus_worker.server import serve as run

    logging.basicConfig(format="nexus-worker: %(levelname)s %(message)s", level=logging.WARNING)
    answering = load_answering(engine, always_usage=enable_force_include_usage)
    listener = listen(host, port)
    _tell(answering, f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
    run(answering, listener, shutdown_timeout=shutdown_timeout, beside=_beside(answering, host, grpc_port))


@worker.command()
@_engine_options
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="On every address.")
@click.option("--shutdown-timeout", type=click.IntRange(0), default=600, show_default=True, help="Seconds to drain.")
def predictor(*, port: int, shutdown_timeout: int, **engine: Unpack[EngineOptions]) -> None:
    """Serve MODEL_FOLDER as a custom predictor of KServe: its V1 and V2 protocols, by the extra `kserve`."""
    from nexus_worker.loading import load_answering
    from nexus_worker.predictor import run

    answering = load_answering(engine, always_usage=False)
    _tell(answering, f"http://0.0.0.0:{port} by KServe's protocols")
    run(answering, port, shutdown_timeout)


def _tell(answering: Answering, address: str) -> None:
    loaded = answering.engine
    click.echo(f"nexus-worker: {answering.model} by {loaded.name}, {loaded.context} tokens, on {address}", err=True)


def _beside(answering: Answering, host: str, port: int | None) -> Beside | None:
    if port is None:
        return None
    from nexus_worker.grpc_server import GrpcServer

    return GrpcServer(
        answering, host, port, lambda address: click.echo(f"nexus-worker: by gRPC on {address}", err=True)
    )


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
