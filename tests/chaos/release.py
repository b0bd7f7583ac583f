"""Kills a release at every boundary, fills its disk, takes its registry away, and lets a second run finish it.

    python -m tests.chaos.release            one case for each kind of change that each step makes
    python -m tests.chaos.release --long     every single effect, and `--seeds` kills at random moments

Prints a table, or with `--json` one line for each case; ends with 1 where any second run came out otherwise than a
release that nothing disturbed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Process, wait_answering

from .effects import Fault, Trouble
from .world import World

_REUSED = ("fit", "train", "quantize", "inspect", "evaluate")
"""What they find does not name the model, so that a release of another model goes on from it."""
_LOOKS = re.compile(
    r"GET |POST .*/search$|os\.(mkdir|rmdir) |"
    r"git (clone|rev-parse|read-tree|checkout-index|add|diff|ls-remote|fetch|rev-list)$"
)
"""After it the world outside is as before it, but for an empty folder."""

_HOOKS: Sequence[tuple[Literal["pre-receive", "post-receive"], str]] = tuple(
    (hook, ref) for hook in ("pre-receive", "post-receive") for ref in ("refs/heads/admit/*", "refs/heads/main")
)
_WORKERS = 2


@dataclass(frozen=True)
class Case:
    name: str
    done: Sequence[str]
    """Steps whose results are there before."""
    fault: Fault | None = None
    hook: tuple[Literal["pre-receive", "post-receive"], str] | None = None
    kill_after: float | None = None


@dataclass(frozen=True)
class Result:
    case: str
    trouble: str
    first: int
    """Exit status of the disturbed run; -9 where it was killed."""
    hit: str
    """The effect at which it happened, as it was seen."""
    said: str
    """Last line of what the disturbed run said."""
    second: int
    differences: tuple[str, ...]
    """Parts of the outcome that are not as they are of an undisturbed release."""

    @property
    def converged(self) -> bool:
        return self.second == 0 and not self.differences

    @property
    def told(self) -> bool:
        """A run that was not killed has ended by itself, with the reason and the mend in one line."""
        if self.trouble == "kill":
            return self.first in (-9, 0) if self.case.startswith("seed") else self.first == -9
        said = {
            "disk full": r"nexus: .*No space left on device: free some room",
            "unreachable": r"nexus: .* at http://",
        }
        return self.first == 1 and bool(re.match(said[self.trouble], self.said))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.release", description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seeds", type=int, default=30, help="kills at random moments, with --long")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexus-chaos-") as folder:
        results = list(walk(Path(folder), long=given.long, seeds=given.seeds))
    for result in results:
        sys.stdout.write((told_to_programs if given.json else row)(result) + "\n")
    broken = sum(not result.converged for result in results)
    silent = sum(not result.told for result in results)
    sys.stderr.write(
        f"{len(results)} disturbed releases; {broken} not finished by a second run, {silent} ended without a reason\n"
    )
    return 1 if broken or silent or not results else 0


def walk(folder: Path, *, long: bool, seeds: int) -> Iterator[Result]:
    port = free_port()
    with Process.start(mlflow_server_program(folder, port), folder / "server.log") as server:
        wait_answering(server, f"http://127.0.0.1:{port}/health", 180)
        import_what_a_release_needs()
        template = World.first(folder / "template", f"http://127.0.0.1:{port}")
        started = time.monotonic()
        if template.release() != 0:
            raise RuntimeError(f"the undisturbed release failed: {template.said()}")
        seconds = time.monotonic() - started
        expected = template.outcome()
        cases = [*effects_of(template, long), *remote_kills()]
        cases += random_kills(seeds, seconds) if long else []
        yield from in_parallel(template, cases, expected)


def import_what_a_release_needs() -> None:
    """Once, before the children are forked from this process; each would need 15 s for it."""
    for name in ("ctranslate2", "datasets", "llmcompressor", "mlflow.entities", "pandera.pandas", "transformers"):
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)  # a process whose threads have started cannot be forked


def effects_of(template: World, long: bool) -> Iterator[Case]:
    """Records what a release does, and makes a case of each effect, or of the first of each kind in each step.

    One world has all results that can be reused, and shows what the other steps do; for each of those that are reused
    there is one that lacks its result alone, so that only this is made twice.
    """
    for lacking in ("", *_REUSED):
        done = [step for step in _REUSED if step != lacking]
        world = template.copied(template.folder.parent / f"record-{lacking or 'others'}", done)
        if world.release() != 0:
            raise RuntimeError(f"a release that resumes failed: {world.said()}")
        seen: set[tuple[str, str]] = set()
        effects = world.effects()
        for number, (step, label) in enumerate(zip(_steps(effects), effects, strict=True)):
            if lacking not in ("", step) or (not long and ((step, label) in seen or not _counts(label))):
                continue
            seen.add((step, label))
            for trouble in _troubles(label, len(seen), long):
                yield Case(f"{step}: {label}", done, Fault(trouble, number))


def _counts(label: str) -> bool:
    """In the short form a run meets trouble before what changes the world outside it: one that dies before a look
    leaves what one leaves that dies before its next change, and what is in a temporary folder goes with it."""
    return " tmp/" not in label and not _LOOKS.match(label)


def _troubles(label: str, number: int, long: bool) -> Iterator[Trouble]:
    if long or not label.startswith("write"):  # into a file that nobody knows before it is renamed
        yield "kill"
    if label.startswith(("write", "os.rename")) and (long or number % 3 == 0):
        yield "disk full"
    if label.startswith("POST") and (long or label.endswith("model-versions/create")):
        yield "unreachable"


def _steps(effects: list[str]) -> list[str]:
    """For each effect the step that it belongs to: the one whose result is kept next."""
    step, found = "summary", list[str]()
    for label in reversed(effects):
        if label.startswith("os.rename work/steps/"):
            step = label.split("/")[2]
        found.append(step)
    return found[::-1]


def remote_kills() -> Iterator[Case]:
    for hook in _HOOKS:
        yield Case(f"{hook[0]} of {hook[1]}", _REUSED, hook=hook)


def random_kills(seeds: int, seconds: float) -> Iterator[Case]:
    for seed in range(seeds):
        moment = random.Random(seed).uniform(0, seconds)
        yield Case(f"seed {seed}, after {moment:.2f} s", (), kill_after=moment)


def in_parallel(template: World, cases: list[Case], expected: dict[str, Any]) -> Iterator[Result]:
    """Each worker is a process that takes every n-th case and writes its results to a file."""
    files = [template.folder.parent / f"worker-{number}" for number in range(_WORKERS)]
    children = []
    for number, file in enumerate(files):
        child = os.fork()
        if child == 0:
            _work(template, list(enumerate(cases))[number::_WORKERS], expected, file)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    for file in files:
        for line in file.read_text().splitlines():
            found = json.loads(line)
            yield Result(**{**found, "differences": tuple(found["differences"])})
    if any(ended):
        raise RuntimeError(f"a worker of this walk ended with {ended}")


def _work(template: World, cases: list[tuple[int, Case]], expected: dict[str, Any], file: Path) -> None:
    """Never returns."""
    status = 1
    try:
        with file.open("w") as out:
            for number, case in cases:
                out.write(json.dumps(asdict(disturb(template, case, number, expected))) + "\n")
                out.flush()
        status = 0
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        os._exit(status)


def disturb(template: World, case: Case, number: int, expected: dict[str, Any]) -> Result:
    world = template.copied(template.folder.parent / f"case-{number}", case.done)
    if case.hook:
        world.kill_from_the_remote(*case.hook)
    first = world.release(case.fault, case.kill_after)
    effects, said = world.effects(), world.said().strip().splitlines()
    hit = effects[case.fault.at] if case.fault and len(effects) > case.fault.at else effects[-1] if effects else ""
    second = world.release()
    outcome = world.outcome()
    return Result(
        case=case.name,
        trouble=case.fault.trouble if case.fault else "kill",
        first=first,
        hit=hit,
        said=said[-1] if said else "",
        second=second,
        differences=tuple(f"{part}: {outcome[part]}" for part in expected if outcome[part] != expected[part]),
    )


def told_to_programs(result: Result) -> str:
    return json.dumps({**asdict(result), "converged": result.converged, "told": result.told})


def row(result: Result) -> str:
    end = "as undisturbed" if result.converged else f"ended with {result.second}; {'; '.join(result.differences)}"
    told = "" if result.told else f"  (the first run said: {result.said})"
    return f"{result.trouble:12} {result.case:70} {result.first:4} -> {end}{told}"


if __name__ == "__main__":
    sys.exit(main())
