"""`nexus evidence STEP`: what a person sees of a step, or of the whole release."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_release.commands import arguments


@click.command("evidence", epilog="Example: nexus evidence evaluate --params @params.json --into seen")
@click.argument("step")
@click.option(
    "--params", required=True, callback=arguments.text_or_file, help="What the release was asked for: JSON, or @FILE."
)
@click.option("--work", help="URI of the folder that all steps share [default: NEXUS_WORK]")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
def command(step: str, params: str, work: str | None, into: Path) -> None:
    """Write page.html, page.md and figures.json of STEP, from what it has left in the work folder.

    STEP may be `summary`, for the whole release. Runs nothing.
    """
    from nexus_release.documents import validated_json
    from nexus_release.evidence.making import evidence_of, write_evidence
    from nexus_release.graph import ReleaseParams
    from nexus_release.wiring import Connections, Tools

    connections = Connections.from_environment()
    if work:
        connections = connections.model_copy(update={"work": work})
    asked = validated_json(ReleaseParams, params.encode(), "--params")
    write_evidence(evidence_of(step, asked, Tools(connections)), into)
