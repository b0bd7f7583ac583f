"""`nexus diff`: how two releases differ, in the words of their records and, where they are at hand, of their bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_release.adapters.store import FolderStore
from nexus_release.code import steps_digest
from nexus_release.record import CodeContent, DatasetContent, Record, release_id

from ..support.releases import make_record
from ..support.remotes import Remote, plant_house

MODEL = "pydoc-chat"
STEP = "pipelines/nexus_release/steps/train.py"


def dataset(store: FolderStore, folder: Path, questions: range) -> DatasetContent:
    folder.mkdir(parents=True)
    rows = [{"id": str(n), "messages": [{"role": "user", "content": f"question {n}"}]} for n in questions]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    (folder / "holdout.jsonl").write_text(json.dumps(rows[-1]) + "\n")
    made = make_record(MODEL, 1).content.dataset
    return made.model_copy(update={"digest": store.put(folder).digest, "rows": len(rows)})


class Two:
    """Two releases: the second has other rows, another recipe, other code and a better figure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = Remote(folder, plant_house)
        store = FolderStore(folder / "work" / "store")
        first = make_record(MODEL, 1)
        code = first.content.code.environment
        one = first.content.model_copy(
            update={
                "dataset": dataset(store, folder / "d1", range(10)),
                "code": CodeContent(steps=steps_digest(), environment=code),
            }
        )
        self.before = self.remote.head
        text = self.remote.file(STEP).decode()
        self.after = self.remote.commit({STEP: text + "# another way\n", "pipelines/nexus_release/steps/new.py": ""})
        quality = one.gate("quality")
        figure = quality.figures[0].model_copy(update={"candidate": "21.40"})
        better = quality.model_copy(update={"figures": (figure,)})
        two = one.model_copy(
            update={
                "dataset": dataset(store, folder / "d2", range(3, 15)),
                "recipe": {"train.steps": "400", "quantize.scheme": "W4A16", "quantize.group": "128"},
                "code": CodeContent(steps=self._digest_of_main(), environment=code),
                "gates": (*one.gates[:-1], better),
            }
        )
        observed = first.observed.model_copy(update={"commit": self.after})
        self.ids = []
        for content in (one, two):
            self.remote.record(Record(content=content, observed=observed))
            self.ids.append(release_id(content))

    def _digest_of_main(self) -> str:
        """As the code of main itself says it."""
        self.remote.pull()
        done = subprocess.run(
            [sys.executable, "-P", "-c", "from nexus_release.code import steps_digest; print(steps_digest())"],
            env={**os.environ, "PYTHONPATH": str(self.remote.clone / "pipelines"), "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def diff(self, *words: str, work: str = "work") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "NEXUS_WORK": (self.folder / work).as_uri(),
            "NEXUS_REMOTE": str(self.remote.path),
        }
        nexus = Path(sys.executable).parent / "nexus"
        return subprocess.run([nexus, "diff", *words], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    return Two(tmp_path_factory.mktemp("two"))


def test_every_part_that_differs_is_told_and_nothing_else(two: Two) -> None:
    done = two.diff(two.ids[0][:8], two.ids[1][:8], "--json")
    assert done.returncode == 0, done.stderr
    found = {(one["part"], one["name"]): (one["one"], one["other"]) for one in json.loads(done.stdout)["differences"]}
    at = [f"commit {commit[:12]}" for commit in (two.before, two.after)]
    assert found[("recipe", "quantize.scheme")] == ("W8A8", "W4A16")
    assert found[("recipe", "quantize.group")] == ("", "128")
    assert found[("gates", "quality.perplexity")][1] == "21.40, base 21.30: 0.00986 (0.00712 to 0.01243)"
    assert found[("data", "rows")] == ("10", "12")
    assert found[("data", "rows that the other has not")] == ("3", "5")
    assert found[("code", "steps/train.py")] == (at[0], at[1])
    assert found[("code", "steps/new.py")] == ("", at[1])
    assert {part for part, _ in found} == {"data", "code", "recipe", "gates"}
    assert ("recipe", "train.steps") not in found


def test_people_read_part_by_part(two: Two) -> None:
    told = two.diff(two.ids[0], two.ids[1]).stdout.splitlines()
    assert told[:2] == [f"one    {two.ids[0]}", f"other  {two.ids[1]}"]
    assert [line for line in told[2:] if not line.startswith("  ")] == ["data", "code", "recipe", "gates"]
    assert "  quantize.group: (none) -> 128" in told


def test_without_the_store_the_digests_alone_are_told(two: Two) -> None:
    done = two.diff(two.ids[0], two.ids[1], work="another")
    assert done.returncode == 0
    assert "rows that the other has not" not in done.stdout
    assert "  digest: sha256:" in done.stdout


def test_a_release_and_itself_are_the_same(two: Two) -> None:
    assert two.diff(two.ids[0], two.ids[0]).stdout.splitlines()[-1] == "they are the same release"


def test_an_unknown_release_ends_with_1(two: Two) -> None:
    done = two.diff(two.ids[0], "0" * 12)
    assert done.returncode == 1
    assert "000000000000: main has no record of such a release" in done.stderr
