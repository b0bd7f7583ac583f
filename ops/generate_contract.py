"""Generates the gRPC contract's Python: `generate_contract.py FOLDER` writes `FOLDER/nexus_inference/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parent.parent / "serving" / "contracts"
PACKAGE = "nexus_inference"  # a folder by protoc's eyes, so that what it writes imports from the package


def main(into: str) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", f"{PACKAGE}={CONTRACTS}"),
            *(f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")),
            f"{PACKAGE}/nexus_inference.proto",
        ],
        check=True,
    )


if __name__ == "__main__":
    main(sys.argv[1])
