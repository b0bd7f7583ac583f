"""`nexus backup`: a copy of everything that is state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus_release.commands import parts
from nexus_release.terminal import plain_line
from nexus_terminal.progress import Progress

if TYPE_CHECKING:
    from nexus_release.backup.taking import Part


@click.command("backup", epilog="Example: nexus backup --to /mnt/backups --keep 30")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of backups.")
@click.option("--keep", "most", type=click.IntRange(1), help="Backups that stay, with this one; older ones go.")
@click.option("--whole", is_flag=True, help="Read every entry of the store again, also what the last backup has.")
@parts.options
@click.option("--dry-run", is_flag=True, help="Say what would be saved and dropped, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(to: Path, most: int | None, whole: bool, dry_run: bool, as_json: bool, **said: Any) -> None:
    """Save Git (every ref), MLflow (database, artifacts, users), Redis, and the store with its signatures, while they
    are in use. Only what the last backup lacks is written.

    What is not named is left away, and told. Ends with 1 where the store has an entry that is not what its name says:
    it is not saved, all else is. A backup that is killed is none.
    """
    from nexus_release.backup.taking import back_up
    from nexus_release.backup.vault import Vault

    _, named = parts.named(**said)
    if dry_run:
        dropped = Vault(to).names()[most - 1 :] if most is not None and to.exists() else []
        _would(named, dropped, as_json)
        return
    with Progress("Git, MLflow, Redis and the store are read") as progress:
        manifest = back_up(Vault(to), named, most=most, whole=whole, tell=partial(parts.tell, progress))
    click.echo(manifest.model_dump_json(indent=2) if as_json else f"backup {manifest.stamp}")
    for sentence in manifest.left_out:
        click.secho(f"- {plain_line(sentence)}", fg="red", err=True)
    if manifest.left_out:
        raise click.exceptions.Exit(1)


def _would(named: Sequence[Part], dropped: Sequence[str], as_json: bool) -> None:
    import json

    saved = {part.name: part.place for part in named}
    if as_json:
        click.echo(json.dumps({"saved": saved, "dropped": list(dropped)}, indent=2))
        return
    for name, place in saved.items():
        click.echo(plain_line(f"{name:9}  would be saved from {place}"))
    for stamp in dropped:
        click.echo(f"{stamp} would be dropped")
