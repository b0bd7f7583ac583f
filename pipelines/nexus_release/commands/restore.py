"""`nexus restore`: a backup, put back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from nexus_release.commands import parts
from nexus_release.terminal import plain
from nexus_terminal.progress import Progress


@click.command("restore", epilog="Example: nexus restore --from /mnt/backups --at 20260131T0200")
@click.option(
    "--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
    help="Folder of backups.",
)  # fmt: skip
@click.option("--at", "stamp", default="", help="The beginning of a backup's name; by default the newest.")
@parts.options
@click.option("--dry-run", is_flag=True, help="Prove the backup and that the places are empty, and put nothing back.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest, and what `nexus verify` finds, as JSON.")
def command(source: Path, stamp: str, dry_run: bool, as_json: bool, **said: Any) -> None:
    """Put back what is named into empty places, and then verify every release as `nexus verify --all` does.

    Nothing is overwritten, and no place is touched before every byte of the backup is proved. Ends with 1 where the
    backup is not whole or a release lies afterwards, with 2 where a place is not empty.
    """
    import json
    import time

    from nexus_release.backup.taking import put_back
    from nexus_release.backup.vault import Vault
    from nexus_release.verify import lines, verify
    from nexus_release.wiring import Tools

    connections, named = parts.named(**said)
    started = time.monotonic()
    with Progress("every byte of the backup is proved") as progress:
        tell = partial(parts.tell, progress)
        manifest = put_back(Vault(source), named, stamp, tell, dry=dry_run)
    done = "proved, with its empty places, " if dry_run else "restored "
    if not as_json:
        click.echo(f"{done}the backup {manifest.stamp} in {time.monotonic() - started:.1f} s")
    found = None
    if not dry_run and {"git", "store"} <= {part.name for part in named}:
        tools = Tools(connections)
        with Progress("every release is verified"):
            found = verify(tools.repository, tools.store, tools.signatures, None, None)
        if not as_json:
            click.echo(plain("\n".join(lines(found))))
    if as_json:
        told = {"manifest": manifest.model_dump(mode="json"), "restored": not dry_run}
        click.echo(json.dumps({**told, "verified": found and found.model_dump(mode="json")}, indent=2))
    if found and found.lies:
        raise click.exceptions.Exit(1)
