"""A `nexus` whose steps are killed where a schedule says, once a try, until it has no more to say.

    python -m tests.chaos.dying_nexus SCHEDULE step validate --params ...
    python -m tests.chaos.dying_nexus SCHEDULE canary step MODEL
    python -m tests.chaos.dying_nexus SCHEDULE backup --to FOLDER

The schedule is JSON: {"world": folder, "kills": {step: [pattern of an effect, ...]}}. Each try of a step leaves its
effects in `<world>/tries/<step>-<n>`; of one that was killed the last line is the effect that did not happen. A
canary's step has the name `canary`, a backup `backup`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nexus_release import cli

from .effects import Fault, Watched


def main() -> None:
    schedule = json.loads(Path(sys.argv[1]).read_bytes())
    sys.argv = ["nexus", *sys.argv[2:]]
    if sys.argv[1] in ("step", "canary", "backup"):
        step = sys.argv[2] if sys.argv[1] == "step" else sys.argv[1]
        _watch(step, Path(schedule["world"]), schedule["kills"].get(step, []))
    cli.main()


def _watch(step: str, world: Path, kills: list[str]) -> None:
    tries = world / "tries"
    tries.mkdir(exist_ok=True)
    number = len([*tries.glob(f"{step}-*")])
    fault = Fault("kill", kills[number]) if number < len(kills) else None
    Watched(world, tries / f"{step}-{number}", fault).begin()


if __name__ == "__main__":
    main()
