"""Builds the bento of `serving/bento` and prints its tag. BENTOML_HOME says where bentos are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "serving" / "bento"
BIN = Path(sys.executable).parent
BENTOML = ROOT / ".venv-bento" / "bin" / "bentoml"


def main() -> None:
    # `bentoml build` reads nothing outside the current folder, or below a folder with a dot, such as .nexus.
    with tempfile.TemporaryDirectory(prefix="nexus-bento-") as folder:
        context = Path(folder)
        shutil.copyfile(SOURCE / "service.py", context / "service.py")
        shutil.copyfile(ROOT / "requirements" / "bento.txt", context / "requirements.txt")
        build = [BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", context / "wheels", ROOT]
        trusting_the_machine = {"UV_SYSTEM_CERTS": "1", **os.environ}  # as make has it
        subprocess.run(build, check=True, env=trusting_the_machine)
        (wheel,) = (context / "wheels").glob("*.whl")
        said = (SOURCE / "bentofile.yaml").read_text(encoding="utf-8")
        (context / "bentofile.yaml").write_text(said.replace("WHEEL", wheel.name), encoding="utf-8")
        command = [BENTOML, "build", "--output", "tag", "."]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=context)
    print(done.stdout.strip().removeprefix("__tag__:"))


if __name__ == "__main__":
    main()
