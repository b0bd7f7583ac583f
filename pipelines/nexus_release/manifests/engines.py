"""The engines that a runtime may be: how each is started, and by which words it is told of a model.

The options are those of vLLM 0.30, SGLang 0.5.18 and BentoML 1.4; the worker takes vLLM's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nexus_release.capacity.gpus import GPUS
from nexus_release.capacity.planner import Placement
from nexus_release.capacity.target import Runtime
from nexus_release.config import Settings

PORT = 8080
CACHE = "/var/cache/nexus"  # what is compiled and fetched; everything else that can be written is in /tmp


@dataclass(frozen=True)
class Figures:
    """Names of gauges under which an engine tells its load, empty where it tells none."""

    running: str
    waiting: str
    cache: str
    """Share of the KV cache in use, 0 to 1."""


@dataclass(frozen=True)
class Probes:
    alive: str
    ready: str


@dataclass(frozen=True)
class Engine:
    """What distinguishes one runtime from another."""

    model_format: str
    command: tuple[str, ...]
    listens: Callable[[str, int], list[str]]
    """Folder of the model, port -> options that follow from no model."""
    serves: Callable[[str, Settings, Placement], list[str]]
    """Public alias, settings, placement -> options that do."""
    environment: tuple[tuple[str, str], ...]
    apis: tuple[str, ...]
    """What it answers for a model that writes text, by the gateway's names."""
    probes: Probes
    figures: Figures
    salts: bool = False
    """Whether it keeps prompts of different `cache_salt` apart."""


def _vllm_listens(folder: str, port: int) -> list[str]:
    return [f"--model={folder}", "--host=0.0.0.0", f"--port={port}"]


def _worker_serves(model: str, settings: Settings, placement: Placement) -> list[str]:
    """The engine answers to the public alias and always reports usage, so that the gateway passes its bytes on as they
    are."""
    return [
        f"--served-model-name={model}",
        "--enable-force-include-usage",
        f"--max-model-len={placement.context_tokens}",
        f"--max-num-seqs={settings.serving.concurrency}",
    ]


def _vllm_serves(model: str, settings: Settings, placement: Placement) -> list[str]:
    arguments = [*_worker_serves(model, settings, placement), "--enable-prompt-tokens-details"]
    if settings.gpu.enabled:
        arguments.append(f"--tensor-parallel-size={placement.tensor_parallel}")
        arguments.append(f"--gpu-memory-utilization={settings.serving.gpu_memory_percent / 100}")
    return arguments


def _sglang_listens(folder: str, port: int) -> list[str]:
    return [f"--model-path={folder}", "--host=0.0.0.0", f"--port={port}", "--enable-metrics"]


def _sglang_serves(model: str, settings: Settings, placement: Placement) -> list[str]:
    """Tenants share its cache, so that `cached_tokens` would tell what others have asked: not where they are to be
    apart."""
    shared = settings.serving.prefix_cache == "shared"
    return [
        f"--served-model-name={model}",
        "--stream-response-default-include-usage",
        f"--context-length={placement.context_tokens}",
        f"--max-running-requests={settings.serving.concurrency}",
        f"--tensor-parallel-size={placement.tensor_parallel}",
        f"--mem-fraction-static={_static_share(settings, placement)}",
        *(["--enable-cache-report"] if shared else []),
    ]


def _static_share(settings: Settings, placement: Placement) -> float:
    """SGLang's share is of weights and cache alone, vLLM's of everything: what is planned for the rest is left out.
    Rounded down to hundredths."""
    static = placement.available - placement.working - placement.reserve
    return static * 100 // GPUS[settings.gpu.model].memory / 100


def _bento_listens(folder: str, port: int) -> list[str]:
    return ["--host=0.0.0.0", f"--port={port}", f"--arg=model={folder}"]


def _bento_serves(model: str, settings: Settings, placement: Placement) -> list[str]:
    """By `bentoml.use_arguments`: `bentoml serve` refuses options that are not its own."""
    return [
        f"--arg=served_model_name={model}",
        f"--arg=max_model_len={placement.context_tokens}",
        f"--arg=max_num_seqs={settings.serving.concurrency}",
    ]


_HEALTH = Probes(alive="/health", ready="/health")
_VLLM_FIGURES = Figures("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
_COMPILED = (
    ("CUDA_CACHE_PATH", f"{CACHE}/cuda"),
    ("FLASHINFER_WORKSPACE_BASE", f"{CACHE}/flashinfer"),
    ("HF_HOME", f"{CACHE}/huggingface"),
    ("TORCHINDUCTOR_CACHE_DIR", f"{CACHE}/inductor"),
    ("TRITON_CACHE_DIR", f"{CACHE}/triton"),
)

ENGINES: dict[Runtime, Engine] = {
    "nexus-worker": Engine(
        model_format="compressed-tensors",
        command=("nexus-worker", "serve"),
        listens=_vllm_listens,
        serves=_worker_serves,
        environment=(),
        apis=("chat", "completions"),
        probes=_HEALTH,
        figures=_VLLM_FIGURES,  # the worker tells its own under vLLM's names
    ),
    "nexus-vllm": Engine(
        model_format="vLLM",
        command=("python3", "-m", "vllm.entrypoints.openai.api_server"),
        listens=_vllm_listens,
        serves=_vllm_serves,
        environment=(
            *_COMPILED,
            ("VLLM_CACHE_ROOT", f"{CACHE}/vllm"),
            ("VLLM_CONFIG_ROOT", "/tmp/vllm"),  # noqa: S108 - a path in the container, on a volume of the pod's own
            ("VLLM_NO_USAGE_STATS", "1"),  # nobody is told that we run
        ),
        apis=("chat", "completions", "responses", "messages"),
        probes=_HEALTH,
        figures=_VLLM_FIGURES,
        salts=True,
    ),
    "nexus-sglang": Engine(
        model_format="sglang",
        command=("python3", "-m", "sglang.launch_server"),
        listens=_sglang_listens,
        serves=_sglang_serves,
        environment=(
            *_COMPILED,
            ("SGLANG_CACHE_DIR", f"{CACHE}/sglang"),
            ("SGLANG_DG_CACHE_DIR", f"{CACHE}/deep_gemm"),
        ),
        apis=("chat", "completions"),
        probes=_HEALTH,
        figures=Figures("sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"),
    ),
    # The worker's engine in a bento: it computes on the CPU, and BentoML's own figures stand before it.
    "nexus-bentoml": Engine(
        model_format="bentoml",
        # A built bento heeds the arguments of its build alone; the source that is in it, those of the command.
        command=("bentoml", "serve", "service:Engine", "--working-dir=src"),
        listens=_bento_listens,
        serves=_bento_serves,
        environment=(("BENTOML_DO_NOT_TRACK", "True"), ("BENTOML_HOME", "/tmp/bentoml")),  # noqa: S108 - as above
        apis=("chat", "completions"),
        probes=Probes(alive="/livez", ready="/readyz"),
        figures=Figures("bentoml_service_request_in_progress", "", ""),
    ),
}
