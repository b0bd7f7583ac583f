"""Renders a release for Argo Workflows, as workflows/<environment>/: `release_hera.py [--check] [ENVIRONMENT ...]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nexus_hera.tree import differences, write
from nexus_release.errors import NexusError

ROOT = Path(__file__).resolve().parent.parent


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environments", nargs="*", default=["dev"], metavar="ENVIRONMENT")
    parser.add_argument("--check", action="store_true", help="write nothing, and name what differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    asked = parser.parse_args(words)
    try:
        if asked.check:
            stale = [path for one in asked.environments for path in differences(asked.root, one)]
            sys.stdout.writelines(f"{path}\n" for path in stale)
            return 1 if stale else 0
        for environment in asked.environments:
            write(asked.root, environment)
    except NexusError as error:
        sys.stderr.write(f"release_hera: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
