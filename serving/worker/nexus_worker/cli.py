"""The command `nexus-worker`. Flags have vLLM's names, so that one InferenceService fits either engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from nexus_terminal.completion import completion
from nexus_terminal.program import Program, run
from nexus_worker.errors import WorkerError
from nexus_worker.flags import engine_flags, fault_flags

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from nexus_worker.answering import Answering
    from nexus_worker.engines.mock.faults import Faults
    from nexus_worker.loading import EngineOptions
    from nexus_worker.server import Beside


SECTIONS = {
    "Serve": {
        "serve": "Serve a model by OpenAI's API, and by gRPC.",
        "predictor": "Serve a model as a custom predictor of KServe.",
    },
    "For your shell": {"completion": "Print the shell completion script."},
}
"""Title -> word -> help line."""


@click.group(cls=Program, sections=SECTIONS)
@click.version_option(package_name="nexus-platform", prog_name="nexus-worker")
def worker() -> None:
    """Serve a model on the CPU under OpenAI's API."""


worker.add_command(completion("nexus-worker", lambda: worker))


@worker.command(epilog="Example: nexus-worker serve .nexus/store/sha256/3b5d2c9e --served-model-name chat --port 8080")
@engine_flags
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes any free port.")
@click.option("--grpc-port", type=click.IntRange(0, 65535), help="Answer by gRPC too; 0 takes any free port.")
@click.option("--enable-force-include-usage", is_flag=True, help="End every stream with its usage.")
@click.option("--enable-prompt-tokens-details", is_flag=True, help="Usage tells the prompt's cached tokens.")
@click.option(
    "--shutdown-timeout", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds to drain."
)
@fault_flags
def serve(
    *,
    host: str,
    port: int,
    grpc_port: int | None,
    enable_force_include_usage: bool,
    enable_prompt_tokens_details: bool,
    shutdown_timeout: float,
    mock_fault: tuple[str, ...],
    mock_admin: bool,
    **engine: Unpack[EngineOptions],
) -> None:
    """Serve MODEL_FOLDER, a checkpoint of transformers or llm-compressor, until SIGTERM."""
    import logging

    from nexus_worker.answering import UsageTold
    from nexus_worker.app import create_app
    from nexus_worker.loading import load_answering, load_faults
    from nexus_worker.server import listen
    from nexus_worker.server import serve as run

    logging.basicConfig(format="nexus-worker: %(levelname)s %(message)s", level=logging.WARNING)
    usage = UsageTold(always=enable_force_include_usage, details=enable_prompt_tokens_details)
    faults = load_faults(engine, mock_fault, switch=mock_admin)
    answering = load_answering(engine, usage)
    app: ASGIApp = create_app(answering)
    if faults is not None:
        from nexus_worker.engines.mock.faulty_http import FaultyHttp

        app = FaultyHttp(app, faults, switch=mock_admin)
    listener = listen(host, port)
    _tell(answering, f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
    beside = None if grpc_port is None else _beside(answering, host, grpc_port, faults)
    run(answering, app, listener, shutdown_timeout=shutdown_timeout, beside=beside)


@worker.command(epilog="Example: nexus-worker predictor /mnt/models --served-model-name chat")
@engine_flags
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="On every address.")
@click.option("--shutdown-timeout", type=click.IntRange(0), default=600, show_default=True, help="Seconds to drain.")
def predictor(*, port: int, shutdown_timeout: int, **engine: Unpack[EngineOptions]) -> None:
    """Serve MODEL_FOLDER as a custom predictor of KServe: its V1 and V2 protocols, by the extra `kserve`."""
    from nexus_worker.answering import UsageTold
    from nexus_worker.loading import load_answering
    from nexus_worker.predictor import run

    answering = load_answering(engine, UsageTold())
    _tell(answering, f"http://0.0.0.0:{port} by KServe's protocols")
    run(answering, port, shutdown_timeout)


def _tell(answering: Answering, address: str) -> None:
    loaded = answering.engine
    click.echo(f"nexus-worker: {answering.model} by {loaded.name}, {loaded.context} tokens, on {address}", err=True)


def _beside(answering: Answering, host: str, port: int, faults: Faults | None) -> Beside:
    from nexus_worker.grpc_server import GrpcServer

    interceptors = []
    if faults is not None:
        from nexus_worker.engines.mock.faulty_grpc import FaultyGrpc

        interceptors.append(FaultyGrpc(faults))

    def tell(address: str) -> None:
        click.echo(f"nexus-worker: by gRPC on {address}", err=True)

    return GrpcServer(answering, host, port, tell, interceptors)


def main() -> None:
    """Ends with 0 (drained), 1 (the checkpoint may not be served) or 2 (bad option)."""
    run(worker, "nexus-worker", _ending)


def _ending(error: Exception) -> tuple[str, int] | None:
    return (str(error), error.exit_status) if isinstance(error, WorkerError) else None


if __name__ == "__main__":
    main()
