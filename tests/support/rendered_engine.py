"""A vLLM as a cluster would start it: command, arguments, variables, probes and port of the rendered ServingRuntime and
InferenceService, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from nexus_release.capacity.shape import shape_of_config
from nexus_release.config import Settings
from nexus_release.frozen import Artifact
from nexus_release.local.processes import Process, Program, wait_ready
from nexus_release.manifests.engines import CACHE
from nexus_release.manifests.inference import inference_service
from nexus_release.manifests.runtimes import MODEL_FOLDER, serving_runtime
from nexus_release.record import Record
from nexus_release.schemes import Scheme

from .releases import make_record

GPU_ONLY: Mapping[str, str] = {
    "--gpu-memory-utilization": "a share of a GPU's memory; vLLM on a CPU takes the same share of the machine's",
    "--tensor-parallel-size": "how many GPUs share the model",
}
"""What is left out on a CPU, by name, and why."""
CPU_ONLY: Mapping[str, str] = {
    "--enforce-eager": "else the first start compiles for minutes",
    "VLLM_CPU_KVCACHE_SPACE=1": "GiB; else vLLM takes most of the machine's memory",
    "VLLM_CPU_OMP_THREADS_BIND=nobind": "other tests run on the same cores",
    "OMP_NUM_THREADS=1": "the same",
}
"""What is put beside it, likewise."""


@dataclass(frozen=True)
class Pod:
    """The container that serves, with KServe's merge done: the runtime's arguments, then the service's."""

    command: tuple[str, ...]
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    port: int
    alive: str
    ready: str
    startup_seconds: int


def record_of(model: str, artifact: Artifact, scheme: Scheme, checkpoint: Path) -> Record:
    """A release of that checkpoint; what else a record says is made up."""
    made = make_record(model, 1)
    shape = shape_of_config(json.loads((checkpoint / "config.json").read_text()), str(checkpoint))
    recipe = {**made.content.recipe, "quantize.scheme": scheme}
    content = made.content.model_copy(update={"artifact": artifact, "shape": shape, "recipe": recipe})
    return made.model_copy(update={"content": content})


def rendered_pod(record: Record, settings: Settings) -> Pod:
    runtime: Any = serving_runtime(settings)
    service: Any = inference_service(record, settings)
    (container,) = runtime["spec"]["containers"]
    model = service["spec"]["predictor"]["model"]
    startup = container["startupProbe"]
    return Pod(
        command=tuple(container["command"]),
        arguments=(*container["args"], *model["args"]),
        variables={one["name"]: one["value"] for one in container["env"]},
        port=container["ports"][0]["containerPort"],
        alive=container["livenessProbe"]["httpGet"]["path"],
        ready=container["readinessProbe"]["httpGet"]["path"],
        startup_seconds=startup["periodSeconds"] * startup["failureThreshold"],
    )


def on_a_cpu(pod: Pod) -> Pod:
    """Without what is for a GPU, with what a machine that others use needs: GPU_ONLY and CPU_ONLY say each."""
    kept = tuple(word for word in pod.arguments if word.partition("=")[0] not in GPU_ONLY)
    variables = dict(one.split("=", 1) for one in CPU_ONLY if not one.startswith("--"))
    flags = tuple(one for one in CPU_ONLY if one.startswith("--"))
    return replace(pod, arguments=kept + flags, variables={**pod.variables, **variables})


def placed_here(pod: Pod, checkpoint: Path, cache: Path, port: int) -> Pod:
    """With the container's paths and port where they are on this machine."""

    def here(word: str) -> str:
        found = word.replace(MODEL_FOLDER, str(checkpoint)).replace(CACHE, str(cache))
        return f"--port={port}" if found == f"--port={pod.port}" else found

    return replace(
        pod,
        arguments=tuple(map(here, pod.arguments)),
        variables={name: here(value) for name, value in pod.variables.items()},
        port=port,
    )


@contextmanager
def serving(pod: Pod, python: Path, log: Path) -> Iterator[str]:
    """Its address, once its own probes say that it is alive and ready."""
    module = pod.command[1:]
    assert pod.command[0] == "python3"
    program = Program("the rendered engine", (str(python), *module, *pod.arguments), pod.variables)
    url = f"http://127.0.0.1:{pod.port}"
    with Process.start(program, log) as process:
        wait_ready(process, lambda: probed(url + pod.alive) and probed(url + pod.ready), pod.startup_seconds)
        yield url


def probed(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False
