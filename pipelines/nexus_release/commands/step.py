"""`nexus step NAME`: all that a container knows of Nexus."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_release.commands import arguments


@click.command(
    "step", epilog="Example: nexus step validate --params @params.json --out out.json --work file:///var/nexus"
)
@click.argument("name")
@click.option("--in", "given", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The step's input.")
@click.option("--params", callback=arguments.text_or_file, help="What the release was asked for: JSON, or @FILE.")
@click.option(
    "--from", "earlier", multiple=True, callback=arguments.texts_by_name, metavar="NAME=OUT",
    help="What an earlier step found out: its --out as JSON, or @FILE.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File for what it found out."
)
@click.option(
    "--flags", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for a file FIELD with true or false for each yes or no of the output, by which engines branch.",
)  # fmt: skip
@click.option("--work", help="URI of the folder that all steps share [default: NEXUS_WORK]")
def command(
    name: str,
    given: Path | None,
    params: str | None,
    earlier: dict[str, str],
    out: Path,
    flags: Path | None,
    work: str | None,
) -> None:
    """Run the step NAME, and write what it found out to --out.

    Its input is the JSON in --in, or follows from --params and each --from that feeds it. Ends with 0 also where a
    gate refuses: the verdict is in the output. 2 is bad input, 1 any other error.
    """
    import os

    from nexus_release.documents import validated_json
    from nexus_release.errors import BadInput
    from nexus_release.graph import NODES, gathered
    from nexus_release.journal import json_text, write_whole
    from nexus_release.release import run_step
    from nexus_release.wiring import Connections, Tools, forget_secrets

    if name not in NODES:
        raise BadInput("step", name, f"one of {', '.join(NODES)}")
    step = NODES[name].step
    if given is not None and params is None:
        parsed = validated_json(step.given, given.read_bytes(), str(given))
    elif params is not None and given is None:
        parsed = gathered(name, params, earlier)
    else:
        raise BadInput("--in", given and str(given), "give either --in, or --params with the --from that feed the step")
    connections = Connections.from_environment()
    if work:
        connections = connections.model_copy(update={"work": work})
    forget_secrets(os.environ, step.effects)
    result, reused = run_step(step, parsed, Tools(connections))
    for field, value in result.out.items():
        if flags and isinstance(value, bool):
            write_whole(flags / field, json_text(value).strip())
    write_whole(out, json_text(result.out))
    click.echo(f"{name}: {'reused' if reused else 'done'} in {result.seconds:.1f} s", err=True)
