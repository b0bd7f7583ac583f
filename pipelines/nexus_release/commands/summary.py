"""`nexus summary`: how a release ended that an engine ran, one process for each step."""

from __future__ import annotations

import click

from nexus_release.commands import arguments


@click.command("summary", epilog="Example: nexus summary --params @params.json --work file:///var/nexus")
@click.option(
    "--params", required=True, callback=arguments.text_or_file, help="What the release was asked for: JSON, or @FILE."
)
@click.option("--failed", default="", help="What failed, in the engine's words; empty where nothing did.")
@click.option(
    "--failures", default="", metavar="JSON",
    help="What failed, as Argo Workflows tells its exit handlers: {{workflow.failures}}.",
)  # fmt: skip
@click.option("--work", help="URI of the folder that all steps share [default: NEXUS_WORK]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(params: str, failed: str, failures: str, work: str | None, as_json: bool) -> None:
    """Write `summary.json` and `timings.json` from what the steps of a release have left in the work folder.

    Ends with 0 however the release ended: an engine's exit handler must not fail because the release did.
    """
    from nexus_release.argo_failures import first_failure
    from nexus_release.documents import validated_json
    from nexus_release.graph import ReleaseParams
    from nexus_release.summary import summarize
    from nexus_release.wiring import Connections, Tools

    connections = Connections.from_environment()
    if work:
        connections = connections.model_copy(update={"work": work})
    asked = validated_json(ReleaseParams, params.encode(), "--params")
    path = summarize(asked, Tools(connections).work, failed or first_failure(failures))
    click.echo(path.read_text() if as_json else f"summary: {path}")
