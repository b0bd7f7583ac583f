"""The command `nexus`. Every command is a file under `commands/`, imported when it is called and not before."""

from __future__ import annotations

import errno
import os

import click

from nexus_release.errors import NexusError
from nexus_release.terminal import plain
from nexus_terminal.program import Program, run

SECTIONS = {
    "Release a model": {
        "release": "Run a release from data to a proposal.",
        "params": "Print what a release is asked for, as engines take it.",
        "drift": "Say whether live traffic has drifted, and ask for a release where it is due.",
        "lineage": "Show what was made of data, and where it is served.",
        "retention": "List releases whose data may no longer be kept.",
        "cost": "Tell what each model, release and tenant has cost.",
    },
    "Change what is served": {
        "canary": "Give a release a share of the traffic by a commit.",
        "promote": "Make a release the stable one by a commit.",
        "rollback": "Go back to an earlier release by a commit.",
        "diff": "Say what a branch changes in an environment, or how two releases differ.",
        "check": "Say whether a change of the tree may land.",
        "check-pr": "Prove what a pull request claims, in any CI.",
    },
    "Look at what is served": {
        "ask": "Ask a model through the gateway, and say what made the answer.",
        "explain": "Walk from a revision, release or model to everything behind it.",
        "status": "Show what Git says, what was applied, what is served, and where they disagree.",
        "wait": "Wait until every replica of a gateway serves a revision.",
        "smoke": "Ask a gateway for each model that it routes, and say who answered.",
        "doctor": "Look at the machine, the checkout and what runs, and say what to do.",
    },
    "Prove it": {
        "verify": "Recompute every digest of a release, and name what lies.",
        "prove": "Prove that a release on a volume is signed, as a cluster does before it syncs.",
        "sign": "Sign a release again, by another key.",
        "bom": "Print the bill of materials of what a lock installs.",
    },
    "Files in Git": {
        "render": "Render an environment's manifests, or check that they are fresh.",
        "policy": "Hold every Kubernetes object of the tree to the rules.",
        "rules": "Print what Prometheus records and rings for.",
        "schema": "Print the JSON Schema of the environments' files.",
    },
    "This machine": {
        "demo": "Tell the whole story on this machine, from a dataset to a rollback.",
        "up": "Bring up on this machine what the remote's main says, and follow it.",
        "down": "Stop what `nexus up` started.",
    },
    "Keep it": {
        "mirror": "Make the registry's aliases say what Git says and serves.",
        "backup": "Copy Git, MLflow, Redis and the store, so that they can be put back.",
        "restore": "Put a backup back into empty places, and prove every digest.",
    },
    "For engines that run releases": {
        "step": "Run one step, as containers do.",
        "summary": "Write how a release ended that an engine ran.",
        "evidence": "Write what a person sees of a step, as HTML and Markdown.",
    },
    "For your shell": {
        "completion": "Print the shell completion script.",
    },
}
"""Title -> word -> help line. Written here so that `nexus --help` imports no command."""

COMMANDS = {word: line for words in SECTIONS.values() for word, line in words.items()}


MACHINE = {
    errno.ENOSPC: "free some room and run it again; what is half-written is never used",
    errno.EDQUOT: "free some of this user's room and run it again; what is half-written is never used",
    errno.EROFS: "give a folder that can be written (NEXUS_STATE, NEXUS_WORK, TMPDIR)",
    errno.EACCES: "give a folder that this user may write (NEXUS_STATE, NEXUS_WORK, TMPDIR)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
"""What the machine refuses -> the mend. The run ends with 1 and nothing by halves; a later run goes on."""


@click.group(cls=Program, sections=SECTIONS, folder="nexus_release.commands")
@click.version_option(package_name="nexus-platform", prog_name="nexus")
def nexus() -> None:
    """Run your own large language models from Git."""


def main() -> None:
    """Ends with 0, 1 (error), 2 (bad input) or 3 (a gate refused the release)."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # libraries' bars for each layer; steps tell their own progress
    run(nexus, "nexus", _ending)


def _ending(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, NexusError):
        return plain(str(error)), error.exit_status
    if isinstance(error, OSError) and error.errno in MACHINE:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}: {MACHINE[error.errno]}", 1
    return None


if __name__ == "__main__":
    main()
