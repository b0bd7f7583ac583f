"""Which endpoints are compared: those that are named, or the engines that this machine can start."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from nexus_release.errors import BadInput
from nexus_release.local.engines import VLLM_ENVIRONMENT, beside_python
from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import Process, Program, wait_answering

from ..support.repository import ROOT
from ..support.trained import RECIPE, train_small
from .connection import Target, tls

MODEL = "bench"
NOT_TOLD = "not told"
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
_START_SECONDS = 600.0
_NAMED = re.compile(r"([\w.-]+)=(https?://[^\s=]+)")


@dataclass(frozen=True)
class Endpoint:
    target: Target
    version: str
    batch: str
    """The most requests that it computes at once (`--max-num-seqs`), or NOT_TOLD."""


def named(said: str, key: str, *, ignore_eos: bool) -> list[Endpoint]:
    """Of `NAME=URL NAME=URL …`; each is asked for its first model. Raises BadInput, or httpx.HTTPError where one does
    not answer."""
    found: list[Endpoint] = []
    for word in said.split():
        if not (match := _NAMED.fullmatch(word)):
            raise BadInput("ENGINES", word, "NAME=http[s]://HOST:PORT, several with spaces between them")
        name, url = match[1], match[2].rstrip("/").removesuffix("/v1")
        if any(name == one.target.name for one in found):
            raise BadInput("ENGINES", word, f"{name} is named already; give each endpoint a name of its own")
        found.append(Endpoint(Target(name, url, model_of(url, key), key, ignore_eos), version_of(url, key), NOT_TOLD))
    return found


def model_of(url: str, key: str) -> str:
    """Raises BadInput where it lists none."""
    match _told(_get(f"{url}/v1/models", key).raise_for_status()):
        case {"data": [{"id": str(model)}, *_]}:
            return model
    raise BadInput("ENGINES", url, "it lists no model; give the address under which /v1/models answers as OpenAI's")


def version_of(url: str, key: str) -> str:
    """By vLLM's path or by SGLang's; others have none."""
    for path in ("/version", "/server_info", "/get_server_info"):
        answer = _get(url + path, key)
        match answer.status_code, _told(answer):
            case 200, {"version": str(version)} if version:
                return version
    return NOT_TOLD


def _told(answer: httpx.Response) -> Any:
    """None where it is no JSON: a page for people, with 200."""
    try:
        return answer.json()
    except ValueError:
        return None


@contextmanager
def started(folder: Path, checkpoint: Path, batch: int, *, ignore_eos: bool) -> Iterator[list[Endpoint]]:
    """The worker by CTranslate2, the worker's mock, and a vLLM where `.venv-vllm` is there."""
    ct2 = importlib.metadata.version("ctranslate2")
    ours = importlib.metadata.version("nexus-platform")
    worker = (beside_python("nexus-worker"), "serve")
    programs = [
        (Program("worker", (*worker, f"--model={checkpoint}")), f"{ours}, CTranslate2 {ct2}"),
        (Program("mock", (*worker, "--engine=mock")), ours),
    ]
    if VLLM.exists():
        words = (str(VLLM), "-m", "vllm.entrypoints.openai.api_server", f"--model={checkpoint}", "--enforce-eager")
        programs.append((Program("vllm", (*words, "--max-model-len=512"), VLLM_ENVIRONMENT), ""))
    with ExitStack() as running:
        found = []
        for program, version in programs:
            url = running.enter_context(_serving(program, folder / f"{program.name}-{batch}.log", batch))
            target = Target(program.name, url, MODEL, ignore_eos=ignore_eos)
            found.append(Endpoint(target, version or version_of(url, "none"), str(batch)))
        yield found


def small_checkpoint(folder: Path) -> Path:
    """By the release's own steps: a Qwen2 of half a million parameters, trained for seconds, W4A16."""
    trained = train_small(folder)
    model = trained.train(RECIPE.model_copy(update={"context_tokens": 512})).model
    return trained.tools.store.get(trained.quantize("W4A16", model).digest)


@contextmanager
def _serving(program: Program, log: Path, batch: int) -> Iterator[str]:
    port = free_port()
    more = (f"--served-model-name={MODEL}", "--host=127.0.0.1", f"--port={port}", f"--max-num-seqs={batch}")
    whole = Program(program.name, (*program.argv, *more), program.environment)
    with Process.start(whole, log) as process:
        wait_answering(process, f"http://127.0.0.1:{port}/health", _START_SECONDS)
        yield f"http://127.0.0.1:{port}"


def _get(url: str, key: str) -> httpx.Response:
    return httpx.get(url, headers={"authorization": f"Bearer {key}"}, verify=tls(url) or True)
