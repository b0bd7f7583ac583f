"""Downloads the upstream CRDs that rendered manifests are held against: `download_crds.py FOLDER`.

Then `NEXUS_CRDS=FOLDER make test` validates every rendered object of these kinds by them. Releases are pinned
here, and each file by its SHA-256; a file that differs is refused and nothing of it is kept.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path

KSERVE = "https://raw.githubusercontent.com/kserve/kserve/v0.20.0/config/crd/full/"
FILES = {
    "kserve/serving.kserve.io_inferenceservices.yaml": (
        KSERVE,
        "57c3bf13f77de94678bf2ae3748056ec071ad2b9e88d6a28f44fb4710758fcff",
    ),
    "kserve/serving.kserve.io_servingruntimes.yaml": (
        KSERVE,
        "380a3e1e1444cef9b8b88819596692728868205a2147dc66423be469a4a7bbb1",
    ),
}
TIMEOUT_SECONDS = 60


def main(folder: Path) -> int:
    for name, (source, expected) in FILES.items():
        target = folder / name
        if target.exists() and _digest(target.read_bytes()) == expected:
            continue
        data = _fetch(source + target.name)
        if (found := _digest(data)) != expected:
            print(f"{name}: expected sha256 {expected}, found {found}; nothing was written", file=sys.stderr)
            return 1
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        print(f"{target}: {len(data)} bytes")
    return 0


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the constant above is https
        return bytes(answer.read())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
