"""What a run of the DAG is asked for, and where it works."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from jinja2 import UndefinedError

from nexus_airflow.releases import Entry
from nexus_release.wiring import Connections, Tools

_BAD_INPUT = 2
_SECONDS = 300  # what reads or writes a few files may take


def environment() -> dict[str, str]:
    """For a process of `nexus`: Airflow's own settings hold its database's password and its keys."""
    return {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}


def argv(*words: str) -> list[str]:
    """NEXUS_BIN names the `nexus` that runs the steps; by default it is the one on the PATH."""
    return [os.environ.get("NEXUS_BIN", "nexus"), *words]


def check(status: int, said: str) -> None:
    """Raises AirflowFailException for bad input, which no other try mends, and AirflowException for any error."""
    if status:
        raise (AirflowFailException if status == _BAD_INPUT else AirflowException)(f"exit status {status}: {said}")


def told(root: Path, *words: str) -> str:
    """What a command of `nexus` that ends at once writes to standard output. Raises as `check`."""
    done = subprocess.run(
        argv(*words), cwd=root, env=environment(), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    check(done.returncode, done.stderr.strip())
    return done.stdout


def asked(task: BaseOperator, context: Context, entry: Entry, root: Path, drift: Asset) -> str:
    """The parameters of this run as one line of JSON."""
    dataset, reason = _dataset_of(task, context, entry, drift), _last(context, drift, "report")
    other = [*([f"--dataset={dataset}"] if dataset else []), *([f"--reason={reason}"] if reason else [])]
    return told(root, "params", entry.spec, "--env", entry.environment, "--root", str(root), *other)


def _dataset_of(task: BaseOperator, context: Context, entry: Entry, drift: Asset) -> str | None:
    """What stands in for the dataset of the release file: what a person gave for this run, else what the last report
    of drift names, else the entry's own template for the run's date."""
    if given := context["params"].get("dataset"):
        return str(given)
    if named := _last(context, drift, "dataset"):
        return named
    return _rendered(task, context, entry.dataset) if entry.dataset else None


def _last(context: Context, drift: Asset, field: str) -> str | None:
    """What the last event that started this run says; None where none does."""
    extras = [event.extra for event in context["triggering_asset_events"].get(drift, [])]
    return next((str(extra[field]) for extra in reversed(extras) if extra.get(field)), None)


def _rendered(task: BaseOperator, context: Context, template: str) -> str:
    """A run that drift or a person starts may have no date, and then such templates as `ds` mean nothing."""
    try:
        return str(task.render_template(template, context))
    except UndefinedError as error:
        raise AirflowFailException(f"dataset {template}: {error}; name the dataset of a run without a date") from None


def work_folder(root: Path) -> Path:
    """NEXUS_WORK, which all workers share; by default `.nexus` of the repository, as on a laptop."""
    state = root / os.environ.get("NEXUS_STATE", ".nexus")
    return Tools(Connections.from_environment(os.environ, state=state)).work


def run_folder(root: Path, context: Context) -> Path:
    """Named by the run's own id, so that a task that is cleared or tried again finds what there is."""
    run = context["dag_run"]
    return work_folder(root) / "airflow" / run.dag_id / re.sub(r"[^A-Za-z0-9._-]", "-", run.run_id)
