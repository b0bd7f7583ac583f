"""The worker's engine as a BentoML service, with OpenAI's paths mounted: `bentoml serve --arg model=FOLDER`."""

from __future__ import annotations

from typing import Literal

import bentoml
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from nexus_worker.answering import UsageTold
from nexus_worker.app import create_app
from nexus_worker.loading import EngineOptions, load_answering


class Arguments(BaseModel):
    """By the names of `nexus-worker serve`'s flags, since `bentoml serve` takes no flags but its own."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    served_model_name: str | None = None
    max_model_len: int | None = Field(default=None, ge=2)
    max_num_seqs: int = Field(default=8, ge=1, le=256)
    threads: int = Field(default=1, ge=1, le=256)
    engine: Literal["ctranslate2", "mock"] = "ctranslate2"
    compute_type: Literal["auto", "float32", "int8"] = "auto"
    ttft_ms: float = Field(default=20.0, ge=0)
    tokens_per_second: float = Field(default=100.0, ge=0)
    mock_total_tokens_per_second: float = Field(default=0.0, ge=0)
    mock_prefill_tokens_per_second: float = Field(default=0.0, ge=0)
    block_size: int = Field(default=16, ge=1, le=4096)
    num_gpu_blocks_override: int | None = Field(default=None, ge=1)
    enable_prefix_caching: bool = True


arguments = bentoml.use_arguments(Arguments)
"""Read with this file, so that a wrong one ends `bentoml serve` before it starts a process."""


class Mounted:
    """What BentoML mounts when this file is read; the engine is loaded when the service starts, in its process."""

    def load(self) -> None:
        """Raises BadOption or BadCheckpoint."""
        options: EngineOptions = {"folder": None, **arguments.model_dump()}
        self._app = create_app(load_answering(options, UsageTold(always=True, details=True)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


openai_api = Mounted()


# One process: engine, queue and figures are one. An answer's time is the gateway's to bound.
@bentoml.service(name="nexus-engine", workers=1, traffic={"timeout": 3600}, metrics={"enabled": True})
@bentoml.asgi_app(openai_api, path="/")
class Engine:
    def __init__(self) -> None:
        openai_api.load()
