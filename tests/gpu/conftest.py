"""Where the suite runs, and the checkpoints that it serves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from nexus_release.capacity.gpus import GpuModel
from nexus_release.config import Settings, load_settings
from nexus_release.frozen import Artifact
from nexus_release.local.free_ports import free_port
from nexus_release.manifests.engines import CACHE
from nexus_release.manifests.runtimes import MODEL_FOLDER
from nexus_release.schemes import Scheme

from ..bench.gpu_use import gpu_names
from ..support.checkpoints import Checkpoints
from ..support.rendered_engine import Pod, on_a_cpu, placed_here, record_of, rendered_pod, serving
from ..support.repository import ROOT
from ..support.trained import Trained, train_small

CPU_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = "rendered"
LLAMA = {
    "vocab_size": 512, "hidden_size": 1024, "intermediate_size": 3584, "num_hidden_layers": 11,
    "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 4096,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    python: Path
    gpu: GpuModel
    cpu: bool

    @property
    def settings(self) -> Settings:
        found = load_settings(ROOT, "dev")
        return found.model_copy(update={"gpu": found.gpu.model_copy(update={"model": self.gpu})})


@pytest.fixture(scope="session")
def place() -> Place:
    if os.environ.get("ON_CPU") == "1":
        if not CPU_PYTHON.exists():
            pytest.skip(".venv-vllm is not there: run `make setup-vllm`")
        return Place(CPU_PYTHON, "H100-80GB", cpu=True)
    names = gpu_names()
    if not names:
        pytest.skip("no NVIDIA GPU here: `nvidia-smi` names none (ON_CPU=1 proves the suite's own code)")
    known = gpu_model(names[0])
    python = shutil.which(os.environ.get("GPU_PYTHON", "python3"))
    if known is None:
        pytest.skip(f"{names[0]} is none of {', '.join(get_args(GpuModel))}")
    if python is None or subprocess.run([python, "-c", _HAS_CUDA_VLLM], capture_output=True).returncode:
        pytest.skip("no vLLM for CUDA: say GPU_PYTHON=path/to/python")
    return Place(Path(python), known, cpu=False)


def gpu_model(name: str) -> GpuModel | None:
    """Of what `nvidia-smi` calls it: `NVIDIA H100 80GB HBM3` is our `H100-80GB`."""
    words = set(name.replace("-", " ").split())
    fits = [one for one in get_args(GpuModel) if set(one.split("-")) <= words]
    return max(fits, key=len, default=None)


_HAS_CUDA_VLLM = (
    "import sys, torch, importlib.util as u; sys.exit(not (torch.cuda.is_available() and u.find_spec('vllm')))"
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_small(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def base(place: Place, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    if given := os.environ.get("GPU_MODEL"):
        return trained.tools.store.put(Path(given))
    shape = {} if place.cpu else LLAMA
    made = Checkpoints(tmp_path_factory.mktemp("llama")).base("llama", dtype="bfloat16", **shape)
    return trained.tools.store.put(made)


@pytest.fixture(scope="session", params=["FP8_DYNAMIC", "W4A16"])
def pod(
    request: pytest.FixtureRequest,
    place: Place,
    trained: Trained,
    base: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pod]:
    """As rendered, with the checkpoint where it looks for it."""
    scheme: Scheme = request.param
    artifact = trained.quantize(scheme, base)
    checkpoint = trained.tools.store.get(artifact.digest)
    rendered = rendered_pod(record_of(MODEL, artifact, scheme, checkpoint), place.settings)
    if place.cpu:
        folder = tmp_path_factory.mktemp("pod")
        with standing(folder / "models", folder / "cache", checkpoint):
            yield on_a_cpu(placed_here(rendered, folder / "models", folder / "cache", free_port()))
        return
    with standing(Path(MODEL_FOLDER), Path(CACHE), checkpoint):
        yield rendered


@pytest.fixture(scope="session")
def url(pod: Pod, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(pod, place.python, tmp_path_factory.mktemp("engine") / "log") as address:
        yield address


@contextmanager
def standing(models: Path, cache: Path, checkpoint: Path) -> Iterator[None]:
    """The checkpoint and an empty cache at those paths; what is there already is left alone, and an error."""
    models.symlink_to(checkpoint)
    try:
        cache.mkdir(parents=True)
        try:
            yield
        finally:
            shutil.rmtree(cache)
    finally:
        models.unlink()
