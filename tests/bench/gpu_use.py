"""How busy the GPUs are while something runs, as `nvidia-smi` says it."""

from __future__ import annotations

import re
import shutil
import subprocess
from types import TracebackType

NO_GPU = "no GPU"
_ROW = re.compile(r"^(\d+), *(\d+)\n", re.MULTILINE)
_QUERY = "--query-gpu=utilization.gpu,memory.used"


def gpu_names() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    asked = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return asked.stdout.split("\n")[:-1] if asked.returncode == 0 else []


class GpuUse:
    """`with GpuUse() as use: …; use.said`: means of what is asked once a second, over all GPUs."""

    def __init__(self) -> None:
        self.said = NO_GPU
        self._watch: subprocess.Popen[str] | None = None

    def __enter__(self) -> GpuUse:
        if gpu_names():
            words = ["nvidia-smi", _QUERY, "--format=csv,noheader,nounits", "--loop=1"]
            self._watch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watch:
            self._watch.terminate()
            self.said = in_words(self._watch.communicate()[0])


def in_words(lines: str) -> str:
    """Of lines `utilization, memory`: percent, MiB. What has no end was cut off; of a GPU in parts `[N/A]` is told."""
    rows = [(int(row[1]), int(row[2])) for row in _ROW.finditer(lines)]
    if not rows:
        return "not told"
    busy, memory = (sum(row[column] for row in rows) / len(rows) for column in (0, 1))
    return f"{busy:.0f} % busy, {memory / 1024:.1f} GiB"
