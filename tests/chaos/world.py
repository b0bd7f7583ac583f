"""Everything that one release touches, in one folder: data, work, remote; and a registry that all worlds share."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from nexus_release.digests import digest_folder
from nexus_release.graph import NODES
from nexus_release.verify import verify
from nexus_release.wiring import Connections, Tools

from ..support.mlflow_server import client_of
from ..support.releases import DECLARED
from ..support.remotes import Remote, plant_house
from .effects import Fault, Watched

STEPS = tuple(NODES)
_TINY = {
    **{"steps": 2, "batch_rows": 2, "sequence_tokens": 16, "vocabulary": 300, "hidden": 128, "intermediate": 128},
    **{"layers": 1, "heads": 2, "kv_heads": 2, "context_tokens": 512},
}
_ROWS = 40


class World:
    def __init__(self, folder: Path, registry: str, house: Remote) -> None:
        """`house` is the remote as it is before any release; this world has a copy of its own."""
        self.folder, self.registry, self.house = folder, registry, house
        self.remote = Remote.copied(house, folder)
        self.model = f"m{folder.name.replace('_', '-')}"
        self.work, self.temporary = folder / "work", folder / "tmp"
        self.tools = Tools(Connections(work=self.work.as_uri(), registry=registry, remote=str(self.remote.path)))

    @classmethod
    def first(cls, folder: Path, registry: str) -> World:
        """From nothing. Its gates let a model pass that has hardly been trained."""
        house = folder / "house"
        house.mkdir(parents=True)
        world = cls(folder, registry, Remote(house, plant_house))
        (folder / "data.jsonl").write_text("".join(json.dumps(_row(number)) + "\n" for number in range(_ROWS)))
        world._settle()
        return world

    def copied(self, folder: Path, done: Collection[str]) -> World:
        """Another model, for which the results of the steps `done` are there already, and in the store what they have
        made: nothing that another step makes, though one of them has read it."""
        folder.mkdir()
        shutil.copytree(self.work, folder / "work")
        for step in set(STEPS) - set(done):
            shutil.rmtree(folder / "work" / "steps" / step, ignore_errors=True)
        shutil.rmtree(folder / "work" / "runs", ignore_errors=True)
        made = "".join(_made(path) for path in (folder / "work" / "steps").rglob("*.json"))
        for kept in [*(folder / "work" / "store").glob("sha256/*"), *(folder / "work" / "store").glob("listings/*")]:
            if kept.stem not in made:
                shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
        shutil.copy(self.folder / "data.jsonl", folder / "data.jsonl")
        world = World(folder, self.registry, self.house)
        world._settle()
        return world

    def release(self, fault: Fault | None = None, kill_after: float | None = None) -> int:
        """Runs `nexus release` in a child process of its own; returns its exit status, or minus the signal.

        `kill_after`: seconds until it is killed from outside, wherever it is then.
        """
        log = self.folder / "effects"
        log.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            self._become_a_release(Watched(self.folder, log, fault))
        (self.folder / "pid").write_text(str(child))
        if kill_after is not None:
            _wait_or_kill(child, kill_after)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)

    def kill_from_the_remote(self, hook: Literal["pre-receive", "post-receive"], ref: str) -> None:
        """The remote kills the release, once, before or after it moves `ref` (a shell pattern)."""
        pid = self.folder / "pid"
        kill = f"rm $0; kill -9 $(cat {pid})"  # first: who is run again at once would meet it, and die too
        self.remote.hook(hook, f"while read old new ref; do case $ref in {ref}) {kill} ;; esac; done\nexit 0")

    def effects(self) -> list[str]:
        """Of the last run."""
        return (self.folder / "effects").read_text().splitlines()

    def said(self) -> str:
        """What the last run wrote to its standard error."""
        return (self.folder / "stderr").read_text()

    def outcome(self) -> dict[str, Any]:
        """What there is of this model, everywhere. The same for every world in which a release is done once."""
        commits = self.remote.git("log", "--format=%s", "main").splitlines()
        records = self.remote.files("gitops/releases") if "gitops/releases" in self._tops() else {}
        contents = [json.loads(data)["content"] for data in records.values()]
        ids = sorted(Path(path).stem for path in records)
        return {
            "records": [
                {**content, "model": "<model>", "bill_of_materials": "<names the model>"} for content in contents
            ],
            "commits": [re.sub(r"\b[0-9a-f]{12}\b", "<id>", one).replace(self.model, "<model>") for one in commits],
            "branches": sorted(self.remote.refs()),
            "versions": self._versions(ids),
            "runs": self._runs(),
            "logged models": self._logged_models(),
            "lies": [lie for one in ids for lie in self._lies(one)],
            "broken entries": self._broken(),
        }

    def _lies(self, release: str) -> list[str]:
        tools = self.tools
        found = verify(tools.repository, tools.store, tools.signatures, release, tools.registry)
        return [lie.detail for lie in found.lies]

    def _tops(self) -> list[str]:
        return self.remote.git("ls-tree", "-r", "-d", "--name-only", "main").splitlines()

    def _versions(self, ids: list[str]) -> list[str]:
        """The registry's versions that count, by what they are of."""
        found = client_of(self.registry).search_model_versions(f"name = '{self.model}'")
        alive = [version for version in found if "nexus.abandoned" not in version.tags]
        return ["<id>" if version.tags["nexus.release"] in ids else "another" for version in alive]

    def _runs(self) -> int:
        client = client_of(self.registry)
        experiment = client.get_experiment_by_name(self.model)
        return len(client.search_runs([experiment.experiment_id])) if experiment else 0

    def _logged_models(self) -> list[str]:
        """By their states."""
        client = client_of(self.registry)
        experiment = client.get_experiment_by_name(self.model)
        found = client.search_logged_models([experiment.experiment_id]) if experiment else []
        return [str(model.status) for model in found]

    def _broken(self) -> list[str]:
        """Entries of the store that are not what their names say."""
        entries = [path for path in (self.work / "store" / "sha256").glob("*") if not path.name.startswith(".")]
        return [path.name for path in entries if digest_folder(path) != f"sha256:{path.name}"]

    def _settle(self) -> None:
        self.temporary.mkdir()
        self.work.mkdir(exist_ok=True)
        spec = {
            "model": self.model,
            "dataset": str(self.folder / "data.jsonl"),
            "data": DECLARED.model_dump(mode="json"),
            "train": _TINY,
            "quantize": {"scheme": "FP8_DYNAMIC", "calibration_rows": 4},
        }
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(spec))
        root = self.folder / "root"
        self.remote.pull()
        shutil.copytree(self.remote.clone / "environments", root / "environments", dirs_exist_ok=True)
        path = root / "environments" / "local" / "settings.yaml"
        settings = yaml.safe_load(path.read_text())
        settings.setdefault("gates", {})
        settings["gates"]["data"] = {"min_rows": 10, "holdout_share": 0.3}
        loose = {"max_perplexity_increase": 9.0, "min_agreement": 0.0, "max_accuracy_drop": 1.0}
        settings["gates"]["quality"] = {**loose, "resamples": 100}
        path.write_text(yaml.safe_dump(settings))

    def _become_a_release(self, watched: Watched) -> None:
        """Never returns."""
        from nexus_release import cli

        status = 70  # a fault of this harness
        try:
            os.environ.update(self.environ())
            tempfile.tempdir = str(self.temporary)
            out = os.open(self.folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            sys.argv = ["nexus", "release", str(self.folder / "spec.yaml"), "--root", str(self.folder / "root")]
            watched.begin()
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        except BaseException as error:
            sys.stderr.write(f"not caught: {error!r}\n")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def environ(self) -> Mapping[str, str]:
        return {
            "NEXUS_WORK": self.work.as_uri(),
            "NEXUS_REMOTE": str(self.remote.path),
            "MLFLOW_TRACKING_URI": self.registry,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "TMPDIR": str(self.temporary),
        }


def _wait_or_kill(child: int, seconds: float) -> None:
    """Kills the child after `seconds`, unless it has ended by itself."""
    handle = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([handle], [], [], seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(handle)


def _made(result: Path) -> str:
    """What a step's result says that it has made."""
    return json.dumps(json.loads(result.read_bytes())["out"])


def _row(number: int) -> dict[str, object]:
    question, answer = f"What is {number} plus {number}?", f"The sum of {number} and {number} is {2 * number}."
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": str(number), "source": "arithmetic", "language": "en", "messages": messages}
