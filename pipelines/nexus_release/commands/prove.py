"""`nexus prove`: what a cluster runs before it syncs a release."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "prove", epilog="Example: nexus prove --release 3b5d... --statement sha256:... --store /mnt/store --key company.pem"
)
@click.option("--release", required=True, help="The release's whole id.")
@click.option("--statement", required=True, help="Digest of what is signed, as the rendered Job names it.")
@click.option(
    "--store", "root", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
    help="Folder of the store: it holds sha256/ and signatures/. Nothing is written to it.",
)  # fmt: skip
@click.option(
    "--key", "files", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Public key that is trusted, as PEM; several times.",
)  # fmt: skip
@click.option(
    "--keys", "text", envvar="NEXUS_TRUSTED_KEYS", help="Public keys as PEM, one after another [NEXUS_TRUSTED_KEYS]."
)
@click.option("--json", "as_json", is_flag=True, help="Print release, model and who has signed as JSON.")
def command(release: str, statement: str, root: Path, files: tuple[Path, ...], text: str | None, as_json: bool) -> None:
    """Prove that a release's content, artifact and bill of materials are signed, to the last byte.

    Asks nothing of Git, the registry or a network. Ends with 1 where a byte is another, or no key that is given has
    signed.
    """
    import json

    from nexus_release.errors import BadInput, DigestMismatch
    from nexus_release.record import release_id
    from nexus_release.trust.keys import public_keys, read_public_key
    from nexus_release.trust.signed import prove_signed
    from nexus_release.trust.statement import read_statement
    from nexus_release.wiring import volume

    keys = [read_public_key(Path(), str(path)) for path in files]
    keys += public_keys(text, "NEXUS_TRUSTED_KEYS") if text else []
    if not keys:
        raise BadInput("--key", None, "give a public key: what nobody is trusted to sign is not proved")
    store, signatures = volume(root)
    content = read_statement(statement, store)
    if (found := release_id(content)) != release:
        raise DigestMismatch(f"{statement}: the release that it states", release, found)
    key = prove_signed(content, store, signatures, keys)
    told = {"release": release, "model": content.model, "signed_by": key.name, "fingerprint": key.fingerprint}
    line = f"release {release[:12]} of {content.model}: every byte is signed by {key.name} ({key.fingerprint})"
    click.echo(json.dumps(told, indent=2) if as_json else line)
