"""`nexus sign ID`: another key answers for a release that stands."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sign", epilog="Example: NEXUS_SIGNING_KEY=new.pem nexus sign --all --signed-by old.pub.pem")
@click.argument("release", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every release that main has a record of.")
@click.option(
    "--signed-by",
    "before",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Public key that must have signed it before.",
)
@click.option("--anew", is_flag=True, help="You answer for it yourself: nobody's signature is asked for.")
@click.option("--remote", help="Path or URL of the Git remote [default: NEXUS_REMOTE].")
def command(release: str | None, everything: bool, before: Path | None, anew: bool, remote: str | None) -> None:
    """Sign the release that begins with ID by the key of NEXUS_SIGNING_KEY, beside the signatures that it has.

    Nothing changes in Git, and no release gets another id. Every byte is hashed before it is signed. A record on main
    is no proof that anybody answered for it, so give the key that has signed it, or say --anew.
    """
    from nexus_release.errors import BadInput
    from nexus_release.record import parse_record, release_id
    from nexus_release.sought import RECORDS
    from nexus_release.trust.keys import read_public_key
    from nexus_release.trust.signed import prove_signed, sign_release
    from nexus_release.verify import chosen
    from nexus_release.wiring import Connections, Tools

    if everything == (release is not None):
        raise BadInput("ID", release, "give the beginning of one release id, or --all")
    if anew == (before is not None):
        raise BadInput("--signed-by", before and str(before), "give the public key that has signed it, or --anew")
    connections = Connections.from_environment()
    tools = Tools(connections.model_copy(update={"remote": remote}) if remote else connections)
    with tools.repository.history() as history:
        files = {path: history.file("HEAD", path) or b"" for path in chosen(history.paths("HEAD", RECORDS), release)}
    for path, data in files.items():
        content = parse_record(data, path, path.rpartition("/")[2].removesuffix(".json")).content
        if before is not None:
            prove_signed(content, tools.store, tools.signatures, [read_public_key(Path(), str(before))])
        sign_release(content, tools.store, tools.signatures, tools.signer)
        click.echo(f"release {release_id(content)[:12]} of {content.model}: signed by {tools.signer.key.fingerprint}")
