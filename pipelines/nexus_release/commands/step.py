"""`nexus step NAME`: all that a container knows of Nexus."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("step", epilog="Example: nexus step validate --in in.json --out out.json --work file:///work")
@click.argument("name")
@click.option("--in", "given", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--work", help="URI of the folder that all steps share [default: NEXUS_WORK]")
def command(name: str, given: Path, out: Path, work: str | None) -> None:
    """Run the step NAME on the JSON in --in, and write what it found to --out.

    Ends with 0 also where a gate refuses: the verdict is in the output. 2 is bad input, 1 any other error.
    """
    import os

    from nexus_release.documents import validated_json
    from nexus_release.errors import BadInput
    from nexus_release.graph import NODES
    from nexus_release.journal import json_text, write_whole
    from nexus_release.release import run_step
    from nexus_release.wiring import Connections, Tools, forget_secrets

    if name not in NODES:
        raise BadInput("step", name, f"one of {', '.join(NODES)}")
    step = NODES[name].step
    parsed = validated_json(step.given, given.read_bytes(), str(given))
    connections = Connections.from_environment()
    if work:
        connections = connections.model_copy(update={"work": work})
    forget_secrets(os.environ, step.effects)
    result, reused = run_step(step, parsed, Tools(connections))
    write_whole(out, json_text(result.out))
    click.echo(f"{name}: {'reused' if reused else 'done'} in {result.seconds:.1f} s", err=True)
