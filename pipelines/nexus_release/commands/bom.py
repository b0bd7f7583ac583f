"""`nexus bom LOCK...`: what an image holds, as CycloneDX."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("bom", epilog="Example: nexus bom requirements/run.txt requirements/torch.txt --name nexus-train")
@click.argument("locks", metavar="LOCK...", nargs=-1, required=True, type=FILE)
@click.option("--name", required=True, help="Of the image.")
@click.option("--debian", type=FILE, help="Debian's packages too: /var/lib/dpkg/status.")
def command(locks: tuple[Path, ...], name: str, debian: Path | None) -> None:
    """Print the bill of materials of the Python packages that each LOCK pins: CycloneDX 1.6, JSON.

    The same locks give the same bytes. Of a package each file's hash is listed: one for each platform.
    """
    from nexus_release.bill_of_materials.packages import packages_bill

    click.echo(packages_bill(name, _texts(*locks), _texts(*[debian] if debian else [])), nl=False)


def _texts(*paths: Path) -> dict[str, str]:
    return {path.as_posix(): path.read_text(encoding="utf-8") for path in paths}
