"""Which program answers for an InferenceService on this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_release.errors import BadInput, Missing
from nexus_release.local.desired import DesiredEngine
from nexus_release.local.processes import Program

_RUNTIMES = {"nexus-worker": "ctranslate2", "nexus-vllm": "vllm"}
_ENGINES = ("ctranslate2", "mock", "vllm")

# vLLM cut down to a model of a few million parameters on two shared cores.
_VLLM_LIMITS = ("--max-model-len=512", "--max-num-seqs=8", "--enforce-eager")
VLLM_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class EngineChoice:
    """NEXUS_ENGINE, which stands above the runtime that is rendered, and where vLLM's own environment is."""

    wanted: str
    vllm_python: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], root: Path) -> EngineChoice:
        """Raises BadInput for an engine that is not known."""
        wanted = environ.get("NEXUS_ENGINE", "")
        if wanted and wanted not in _ENGINES:
            raise BadInput("NEXUS_ENGINE", wanted, f"one of {', '.join(_ENGINES)}")
        return cls(wanted, root / ".venv-vllm" / "bin" / "python")

    def kind(self, runtime: str) -> str:
        """Raises BadInput for a runtime that this machine does not have."""
        kind = self.wanted or _RUNTIMES.get(runtime, "")
        if not kind:
            raise BadInput("runtime", runtime, f"one of {', '.join(_RUNTIMES)}, or set NEXUS_ENGINE")
        return kind

    def start_seconds(self, runtime: str) -> float:
        """Deadline of the first answer: vLLM imports and compiles for a minute or two, the worker needs a second."""
        return 300.0 if self.kind(runtime) == "vllm" else 60.0


def engine_program(engine: DesiredEngine, checkpoint: Path, port: int, choice: EngineChoice) -> Program:
    """The command that the runtime has, with the model where it is here. Raises Missing where vLLM is not installed."""
    kind = choice.kind(engine.runtime)
    here = (f"--model={checkpoint}", "--host=127.0.0.1", f"--port={port}", *engine.args)
    if kind != "vllm":
        return Program(engine.service, (beside_python("nexus-worker"), "serve", f"--engine={kind}", *here))
    if not choice.vllm_python.exists():
        raise Missing(f"{choice.vllm_python} is not there: run `make setup-vllm`")
    server = (str(choice.vllm_python), "-m", "vllm.entrypoints.openai.api_server")
    return Program(engine.service, (*server, *here, *_VLLM_LIMITS), VLLM_ENVIRONMENT)


def beside_python(script: str) -> str:
    """An entry point of this very environment, whatever PATH says."""
    return str(Path(sys.executable).with_name(script))
