"""`nexus sign ID`: another key answers for a release that stands."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_terminal.progress import Progress, agreed


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
@click.option("--yes", is_flag=True, help="Do not ask; where there is no terminal, nobody is asked.")
@click.option(
    "--dry-run", is_flag=True, help="Prove the earlier signatures, say what would be signed, and sign nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print each release and who has signed it as JSON.")
def command(
    release: str | None,
    everything: bool,
    before: Path | None,
    anew: bool,
    remote: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Sign the release that begins with ID by the key of NEXUS_SIGNING_KEY, beside the signatures that it has.

    Nothing changes in Git, and no release gets another id. Every byte is hashed before it is signed. A record on main
    is no proof that anybody answered for it, so give the key that has signed it, or say --anew.
    """
    import json

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
    made = bool(connections.signing_key) or not dry_run  # a dry run makes no key
    key = tools.signer.key.fingerprint if made else "the key of this machine"
    if not dry_run:
        agreed(f"{len(files)} releases will be signed by {key}. Answer for them?", yes=yes)
    told = []
    with Progress() as progress:
        for path, data in files.items():
            content = parse_record(data, path, path.rpartition("/")[2].removesuffix(".json")).content
            progress.on(f"release {release_id(content)[:12]} of {content.model}")
            if before is not None:
                prove_signed(content, tools.store, tools.signatures, [read_public_key(Path(), str(before))])
            if not dry_run:
                sign_release(content, tools.store, tools.signatures, tools.signer)
            told.append({"release": release_id(content), "model": content.model, "key": key, "signed": not dry_run})
            if not as_json:
                done = "would be signed" if dry_run else "signed"
                progress.say(f"release {release_id(content)[:12]} of {content.model}: {done} by {key}")
    if as_json:
        click.echo(json.dumps(told, indent=2))
