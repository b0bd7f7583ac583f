"""`nexus drift MODEL`: has live traffic moved, and is a release due?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus_release.commands import arguments
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.monitoring.report import DriftReport
    from nexus_release.monitoring.retraining import ReleaseHere
    from nexus_release.monitoring.watch import Asked, Watched
    from nexus_release.ports import DriftEvents
    from nexus_release.release import Listener
    from nexus_release.wiring import Tools


@click.command("drift", epilog="Example: nexus drift pydoc-chat --env prod --decisions /var/log/nexus/decisions")
@arguments.of_model
@click.option(
    "--decisions", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the gateways' decision logs.",
)  # fmt: skip
@arguments.in_environment
@click.option("--since", help="Begin of the window, as 2026-11-01T00:00:00Z [default: drift.window_hours before].")
@click.option("--until", help="End of the window [default: of the last whole one].")
@click.option("--reference-since", help="Begin of what it is held against [default: the release became stable].")
@click.option("--reference-until", help="End of it [default: drift.reference_hours later].")
@click.option("--airflow", metavar="URL", help="Tell Airflow where a release is due; its token is NEXUS_AIRFLOW_TOKEN.")
@click.option(
    "--release", "spec", type=click.Path(path_type=Path, dir_okay=False),
    help="Run the release of this file here, where one is due.",
)  # fmt: skip
@click.option("--dataset", help="URI that such a release is trained on [default: the release file's].")
@click.option(
    "--flags", type=click.Path(path_type=Path, file_okay=False),
    help="Write there the file `due`: true where a release is due, false else. Whoever reads it makes that release.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the report; it joins no history, and nobody is told.")
@click.option("--replay", metavar="DIGEST", help="Make the kept report again from the log, and compare every byte.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The repository.")
@click.option("--from-main", is_flag=True, help="Read the settings from main of the remote, and nothing from --root.")
@click.option("--json", "as_json", is_flag=True, help="Print report and verdict as JSON.")
def command(
    model: str,
    decisions: Path,
    environment: str,
    since: str | None,
    until: str | None,
    reference_since: str | None,
    reference_until: str | None,
    airflow: str | None,
    spec: Path | None,
    dataset: str | None,
    flags: Path | None,
    dry_run: bool,
    replay: str | None,
    root: Path,
    from_main: bool,
    as_json: bool,
) -> None:
    """Hold MODEL's traffic in a window against the first of its stable release, and ask for a release where it is due.

    A release is due where drift.windows windows have drifted one after the other; it is asked for once. Ends with 3
    where the budget or a gate refuses it, with 1 where a replay differs or Airflow does not answer, with 0 where the
    release is too young to be watched.
    """
    from contextlib import nullcontext
    from datetime import UTC, datetime

    from nexus_release.commands.release import told
    from nexus_release.errors import BadInput
    from nexus_release.monitoring.watch import Asked, NoReferenceYet, look, watch
    from nexus_release.proposals import main_files
    from nexus_release.wiring import Connections, Tools

    if sum(map(bool, (airflow, spec, flags))) > 1:
        raise BadInput("--airflow", airflow, "give one of --airflow, --release and --flags: drift asks for one release")
    tools = Tools(Connections.from_environment())
    with main_files(tools.repository) if from_main else nullcontext(root) as place:
        asked = Asked(
            model, environment, place, decisions, since, until, reference_since, reference_until, dataset
        )  # fmt: skip
        now = datetime.now(UTC)
        if replay:
            _replay(replay, decisions, tools)
        elif dry_run:
            _show(*look(asked, tools, now), as_json)
        else:
            progress = Progress()
            here = _here(spec, asked, tools, told(progress, quiet=as_json)) if spec else None
            events: DriftEvents | None = tools.drift_events(airflow) if airflow else _flagged(flags) or here
            try:
                with progress:
                    watched = watch(asked, tools, events, now)
            except NoReferenceYet as early:
                click.echo(str(early), err=True)
                return
            _show(watched.report, watched.digest, as_json, watched)
            _end(watched, events, here)


def _flagged(folder: Path | None) -> DriftEvents | None:
    from nexus_release.monitoring.retraining import FlaggedRelease

    return FlaggedRelease(folder) if folder else None


def _replay(digest: str, decisions: Path, tools: Tools) -> None:
    from nexus_release.errors import DigestMismatch
    from nexus_release.monitoring.decisions import Log
    from nexus_release.monitoring.report import get_report, make_again, put_report

    again = put_report(tools.store, make_again(Log(decisions), get_report(tools.store, digest)))
    if again != digest:
        raise DigestMismatch("the report made again from this log", digest, again)
    click.echo(f"{digest}: the same again, byte for byte")


def _here(spec: Path, asked: Asked, tools: Tools, listener: Listener) -> ReleaseHere:
    from nexus_release.monitoring.retraining import ReleaseHere
    from nexus_release.spec import Ask

    ask = Ask(asked.root, asked.environment, lambda: tools.repository)
    return ReleaseHere(spec, ask, tools, listener)


def _show(report: DriftReport, digest: str, as_json: bool, watched: Watched | None = None) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        told: dict[str, Any] = {"digest": digest, "report": report.model_dump(mode="json")}
        if watched:
            told |= {"verdict": asdict(watched.verdict), "told": watched.told, "unreadable": list(watched.unreadable)}
        click.echo(json.dumps(told, indent=2, default=str))
        return
    subject = report.subject
    for name, window, sample in (("window", subject.window, report.now), ("reference", subject.reference, report.then)):
        lost = f", {sample.lost} lost when the log was written" if sample.lost else ""
        size = f"{sample.records} answers, {sample.sampled} looked at{lost}"
        click.echo(f"{name:<10} {window.since} to {window.until}: {size}")
    for one in report.features:
        bounds = f"bounds {one.lower} and {one.upper}, chance {one.chance}"
        click.echo(f"  {one.feature:<14} {one.measure:<3} {one.value:>9}  {one.level:<7}  {bounds}")
    click.echo(f"level      {report.level}\nreport     {digest}")
    if watched:
        click.echo(f"verdict    {watched.verdict.action}: {watched.verdict.reason}")


def _end(watched: Watched, events: DriftEvents | None, here: ReleaseHere | None) -> None:
    from nexus_release.errors import GateRefused

    if watched.unreadable:
        first = ", ".join(watched.unreadable[:5])
        click.echo(f"{len(watched.unreadable)} lines are none of a decision log: {first}", err=True)
    if watched.verdict.action == "refuse":
        raise GateRefused(f"drift is declared, and no release is asked for: {watched.verdict.reason}")
    if watched.verdict.action == "send" and events is None:
        click.echo("a release is due, and nobody is told: give --airflow, --release or --flags", err=True)
    if here and here.done and here.done[-1].outcome == "refused":
        raise GateRefused(here.done[-1].reason)
