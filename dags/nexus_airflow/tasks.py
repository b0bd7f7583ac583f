"""The tasks of a release whose steps run on Airflow's workers: each is one process of `nexus`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from nexus_airflow.asking import argv, asked, check, environment, run_folder, told, work_folder
from nexus_airflow.releases import Entry
from nexus_release.digests import digest_bytes
from nexus_release.graph import NODES, feeds
from nexus_release.journal import write_whole

_PARAMS = "params.json"
_TROUBLE = "trouble"


class Ask(BaseOperator):
    """Writes what this run is asked for into its folder. Gives its digest."""

    def __init__(self, *, entry: Entry, root: Path, drift: Asset, **of_task: Any) -> None:
        super().__init__(**of_task)
        self.entry, self.root, self.drift = entry, root, drift

    def execute(self, context: Context) -> str:
        params = asked(self, context, self.entry, self.root, self.drift)
        write_whole(run_folder(self.root, context) / _PARAMS, params)
        return digest_bytes(params.encode())


class ReleaseStep(BaseOperator):
    """Runs the step that the task is named for. Gives the digest of what it found out.

    A gate's no is in the step's flags. Skipped where a guard is false; Airflow skips what follows.
    """

    def __init__(self, *, guards: Sequence[str], root: Path, **of_task: Any) -> None:
        super().__init__(**of_task)
        self.guards, self.root = guards, root

    def execute(self, context: Context) -> str:
        folder = run_folder(self.root, context)
        for guard in self.guards:
            if not _holds(folder, guard):
                raise AirflowSkipException(f"{guard} is false")
        own = folder / self.task_id
        own.mkdir(parents=True, exist_ok=True)
        (own / _TROUBLE).unlink(missing_ok=True)
        ended = self._process.run_command(self._argv(folder), env=environment(), cwd=str(self.root))
        if ended.exit_code:
            write_whole(own / _TROUBLE, ended.output)
        check(ended.exit_code, ended.output)
        return digest_bytes((own / "out.json").read_bytes())

    def on_kill(self) -> None:
        self._process.send_sigterm()  # type: ignore[no-untyped-call]  # Airflow has no types for it

    @cached_property
    def _process(self) -> SubprocessHook:
        return SubprocessHook()

    def _argv(self, folder: Path) -> list[str]:
        own = folder / self.task_id
        words = ["step", self.task_id, "--params", f"@{folder / _PARAMS}"]
        for earlier in sorted(feeds(NODES[self.task_id])):
            words += ["--from", f"{earlier}=@{folder / earlier / 'out.json'}"]
        words += ["--out", str(own / "out.json"), "--flags", str(own / "flags")]
        return argv(*words, "--work", work_folder(self.root).as_uri())


class Summarize(BaseOperator):
    """Writes the release's summary.json however it ended. Gives its path.

    Fails where the release has failed, since Airflow calls a run by its last task. A refused release is a good run.
    """

    def __init__(self, *, root: Path, **of_task: Any) -> None:
        super().__init__(**of_task)
        self.root = root

    def execute(self, context: Context) -> str:
        folder = run_folder(self.root, context)
        if not (folder / _PARAMS).exists():
            raise AirflowFailException("nothing was asked for, so there is nothing to sum up")
        words = ["--params", f"@{folder / _PARAMS}", "--work", work_folder(self.root).as_uri()]
        said = told(self.root, "summary", *words, f"--failed={self._trouble(context, folder)}")
        path = Path(said.strip().removeprefix("summary: "))
        summary = json.loads(path.read_bytes())
        if summary["outcome"] == "failed":
            raise AirflowFailException(summary["reason"])
        self.log.info("%s %s", summary["outcome"], summary["reason"])
        return str(path)

    def _trouble(self, context: Context, folder: Path) -> str:
        """Which task failed first, and the last line that it wrote; empty where none did."""
        run = context["dag_run"]
        states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])[run.run_id]
        failed = [name for name in ("ask", *NODES) if states.get(name) == "failed"]
        if not failed:
            return ""
        trouble = folder / failed[0] / _TROUBLE
        return f"{failed[0]}: {trouble.read_text() if trouble.exists() else 'it was stopped, or ran out of time'}"


def _holds(folder: Path, guard: str) -> bool:
    """Reads `<node>.<field>` from the flags that the node has left."""
    node, _, field = guard.partition(".")
    return (folder / node / "flags" / field).read_text() == "true"
