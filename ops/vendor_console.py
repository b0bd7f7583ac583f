"""Copies what the console's page is made of from npm's packages, byte for byte, with their licences.

`python ops/vendor_console.py` (`make console-vendor`) after `npm install` has changed a version in tests/clients/node:
npm holds each package to the digest in package-lock.json, and a test holds the copies to the packages.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "tests" / "clients" / "node" / "node_modules"
VENDORED = ROOT / "gateway" / "nexus_gateway" / "console" / "static" / "vendor"
COPIED = {
    "preact.mjs": "preact/dist/preact.mjs",
    "preact.LICENSE": "preact/LICENSE",
    "htm.mjs": "htm/dist/htm.mjs",
    "htm.LICENSE": "htm/LICENSE",
    "uPlot.js": "uplot/dist/uPlot.iife.min.js",
    "uPlot.css": "uplot/dist/uPlot.min.css",
    "uPlot.LICENSE": "uplot/LICENSE",
}
"""File of the page -> file of a package."""


def version(package: str) -> str:
    found: str = json.loads((PACKAGES / package / "package.json").read_text())["version"]
    return found


def main() -> None:
    VENDORED.mkdir(parents=True, exist_ok=True)
    for name, source in COPIED.items():
        shutil.copyfile(PACKAGES / source, VENDORED / name)
    for package in sorted({source.partition("/")[0] for source in COPIED.values()}):
        print(f"{package} {version(package)}")


if __name__ == "__main__":
    main()
