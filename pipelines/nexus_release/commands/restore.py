"""`nexus restore`: a backup, put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nexus_release.commands import parts
from nexus_release.terminal import plain


@click.command("restore", epilog="Example: nexus restore --from /mnt/backups --at 20260131T0200")
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--at", "stamp", default="", help="The beginning of a backup's name; by default the newest.")
@parts.options
def command(source: Path, stamp: str, **said: Any) -> None:
    """Put back what is named into empty places, and then verify every release as `nexus verify --all` does.

    Nothing is overwritten, and no place is touched before every byte of the backup is proved. Ends with 1 where the
    backup is not whole or a release lies afterwards, with 2 where a place is not empty.
    """
    import time

    from nexus_release.backup.taking import put_back
    from nexus_release.backup.vault import Vault
    from nexus_release.verify import lines, verify
    from nexus_release.wiring import Tools

    connections, named = parts.named(**said)
    started = time.monotonic()
    manifest = put_back(Vault(source), named, stamp, parts.tell)
    click.echo(f"restored the backup {manifest.stamp} in {time.monotonic() - started:.1f} s")
    if not {"git", "store"} <= {part.name for part in named}:
        return
    tools = Tools(connections)
    found = verify(tools.repository, tools.store, tools.signatures, None, None)
    click.echo(plain("\n".join(lines(found))))
    if found.lies:
        raise click.exceptions.Exit(1)
