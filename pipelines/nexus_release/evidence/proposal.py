"""The pages of `register`, `render` and `propose`: the release's id, and what it changes in Git."""

from __future__ import annotations

from nexus_release.evidence.page import Changes, Facts, Heading, Page, Said, Text
from nexus_release.steps.propose import ProposeIn, ProposeOut
from nexus_release.steps.register import RegisterIn, RegisterOut
from nexus_release.steps.render import RenderIn, RenderOut


def registered_page(given: RegisterIn, out: RegisterOut) -> Page:
    return Page(
        title=f"Release of {given.model}",
        blocks=(
            Facts(
                (
                    ("release", out.release),
                    ("registry", f"models:/{given.model}/{out.version}"),
                    ("artifact", given.artifact.digest),
                    ("dataset", given.validated.dataset),
                    ("base", given.trained.model.digest),
                )
            ),
            Text("The release id is the SHA-256 of the record's content; `nexus verify` recomputes everything in it."),
        ),
        amounts={"version": float(out.version)},
    )


def rendered_page(given: RenderIn, out: RenderOut, diff: str) -> Page:
    """`diff` is the folder's `tree.diff`."""
    changed = "\n".join(out.changed)
    return Page(
        title=f"Changes to {given.environment}",
        blocks=(
            Heading(f"{len(out.changed)} files of the repository"),
            Text(changed or "None: main has it already."),
            Heading("The rendered tree"),
            Changes(diff) if diff else Text("Nothing changes in it."),
            Facts((("tree with this release", out.tree),)),
        ),
        amounts={"files": float(len(out.changed))},
    )


def proposed_page(given: ProposeIn, out: ProposeOut) -> Page:
    review = (("review", out.pull_request),) if out.pull_request else ()
    how = "on main" if out.landed else "a branch that waits for people"
    return Page(
        title=f"Proposed to {given.environment}",
        blocks=(
            Said(True, "landed" if out.landed else "proposed", how),
            Facts((("branch", out.branch), ("release", given.release), *review)),
        ),
    )
