"""The command `nexus`. Every command is a file under `commands/`, imported when it is called and not before."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import cast

import click

from nexus_release.errors import NexusError
from nexus_release.terminal import plain

COMMANDS = {
    "release": "Run a release from data to a proposal.",
    "params": "Print what a release is asked for, as engines take it.",
    "drift": "Say whether live traffic has drifted, and ask for a release where it is due.",
    "step": "Run one step, as containers do.",
    "summary": "Write how a release ended that an engine ran.",
    "render": "Render an environment's manifests, or check that they are fresh.",
    "evidence": "Write what a person sees of a step, as HTML and Markdown.",
    "rules": "Print what Prometheus records and rings for.",
    "policy": "Hold every Kubernetes object of the tree to the rules.",
    "check-pr": "Prove what a pull request claims, in any CI.",
    "check": "Say whether a change of the tree may land.",
    "canary": "Give a release a share of the traffic by a commit.",
    "promote": "Make a release the stable one by a commit.",
    "rollback": "Go back to an earlier release by a commit.",
    "verify": "Recompute every digest of a release, and name what lies.",
    "prove": "Prove that a release on a volume is signed, as a cluster does before it syncs.",
    "sign": "Sign a release again, by another key.",
    "bom": "Print the bill of materials of what a lock installs.",
    "diff": "Say what a branch changes in an environment, or how two releases differ.",
    "ask": "Ask a model through the gateway, and say what made the answer.",
    "explain": "Walk from a revision, release or model to everything behind it.",
    "lineage": "Show what was made of data, and where it is served.",
    "retention": "List releases whose data may no longer be kept.",
    "cost": "Tell what each model, release and tenant has cost.",
    "status": "Show what Git says, what was applied, what is served, and where they disagree.",
    "doctor": "Look at the machine, the checkout and what runs, and say what to do.",
    "smoke": "Ask a gateway for each model that it routes, and say who answered.",
    "wait": "Wait until every replica of a gateway serves a revision.",
    "mirror": "Make the registry's aliases say what Git says and serves.",
    "backup": "Copy Git, MLflow, Redis and the store, so that they can be put back.",
    "restore": "Put a backup back into empty places, and prove every digest.",
    "up": "Bring up on this machine what the remote's main says, and follow it.",
    "down": "Stop what `nexus up` started.",
    "demo": "Tell the whole story on this machine, from a dataset to a rollback.",
    "schema": "Print the JSON Schema of the environments' files.",
    "completion": "Print the shell completion script.",
}
"""Word -> help line. Written here so that `nexus --help` imports no command."""


MACHINE = {
    errno.ENOSPC: "free some room and run it again; what is half-written is never used",
    errno.EDQUOT: "free some of this user's room and run it again; what is half-written is never used",
    errno.EROFS: "give a folder that can be written (NEXUS_STATE, NEXUS_WORK, TMPDIR)",
    errno.EACCES: "give a folder that this user may write (NEXUS_STATE, NEXUS_WORK, TMPDIR)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""What the machine refuses -> the mend. The run ends with 1 and nothing by halves; a later run goes on."""


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(
            click.Command, importlib.import_module(f"nexus_release.commands.{cmd_name.replace('-', '_')}").command
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nexus-platform", prog_name="nexus")
def nexus() -> None:
    """Run your own large language models from Git."""


def main() -> None:
    """Ends with 0, 1 (error), 2 (bad input) or 3 (a gate refused the release)."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars for each layer; steps tell their own progress
    try:
        sys.exit(nexus.main(standalone_mode=False))  # click returns the status of an Exit; commands return None
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except NexusError as error:
        click.echo(f"nexus: {plain(str(error))}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in MACHINE:
            raise  # a fault of ours wants its traceback
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"nexus: {where}{error.strerror}: {MACHINE[error.errno]}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
