"""The main job, act by act: `tell` is the story, what each act does is in the functions below it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from nexus_release.demo import corpus
from nexus_release.demo.asking import Answer, ask, client, count_releases
from nexus_release.demo.environments import CHAIN, admit, expect_everywhere, promote_to, trust_this_machine
from nexus_release.demo.narrator import Narrator
from nexus_release.demo.stage import MODEL, Stage
from nexus_release.errors import GateRefused, NexusError
from nexus_release.explain import explain, lines
from nexus_release.frozen import Frozen
from nexus_release.local.control import wait_applied
from nexus_release.plan import Plan, read_plan
from nexus_release.plan_changes import PlanChange, canary, make, promote, rollback
from nexus_release.record import Figure, Verdict
from nexus_release.release import Listener, StepDone, run_release
from nexus_release.spec import Ask, parameters
from nexus_release.steps.register import RegisterOut
from nexus_release.wiring import Tools, plant_remote

ENVIRONMENT = "local"
QUESTION = "What does os.path.join do?"
CANARY_WEIGHT = 20  # percent: enough that a few hundred questions show it
KEY = "dev-key"  # the laptop's; the gateway takes it on loopback only
_ANSWER_TOKENS = 48
_SIGMAS = 4.0  # a true share is seen further off than this once in 16,000 demos


def tell(stage: Stage, say: Narrator) -> None:
    """From a dataset to an answer that names its commit, then a canary, a promotion and a rollback, and the way to
    prod."""
    with say.act("The remote and the cluster"):
        plant(stage, say)
        start_cluster(stage, say)
    with say.act("A first release: data, model, evidence, commit"):
        first = release_edition(stage, say, 1)
    with say.act("The cluster brings up what the commit says"):
        follow(stage, say)
    with say.act("An answer, and where it comes from"):
        answer = question(stage, say)
        trace(stage, say, answer)
    with say.act("The data changes: a second release, at weight 0"):
        second = release_edition(stage, say, 2)
        follow(stage, say)
    with say.act(f"A commit gives it {CANARY_WEIGHT} % of the traffic"):
        carry_out(stage, say, lambda plan: canary(plan, MODEL, CANARY_WEIGHT))
        follow(stage, say)
        count(stage, say, second)
    with say.act("A commit promotes it"):
        carry_out(stage, say, lambda plan: promote(plan, MODEL, ENVIRONMENT))
        follow(stage, say)
        expect(question(stage, say), second)
    with say.act("A commit rolls back"):
        carry_out(stage, say, lambda plan: rollback(stage.tools.repository, plan, MODEL, ENVIRONMENT))
        follow(stage, say)
        expect(question(stage, say), first)
    with say.act("The same release goes to dev, staging and prod"):
        trust_this_machine(stage, say)
        admit(stage, say, first)
        for environment in CHAIN[1:]:
            promote_to(stage, say, environment, show=environment == "staging")
        expect_everywhere(stage, say, first)


def plant(stage: Stage, say: Narrator) -> None:
    planted = plant_remote(stage.tools.connections, stage.root)
    where = relative_to_here(Path(stage.tools.connections.remote))
    say.say(f"remote {where}: main is {planted.commit[:12]} ({planted.what})")
    stage.tools = Tools(stage.tools.connections.model_copy(update={"dirty": planted.dirty}))
    if planted.dirty:
        say.say("the working tree has changes that are not committed; they are recorded, and the commit is what runs")


def start_cluster(stage: Stage, say: Narrator) -> None:
    up = stage.raise_cluster()
    say.say(f"registry (MLflow) {up.registry}, gateway {up.gateway}")


def release_edition(stage: Stage, say: Narrator, edition: int) -> str:
    """Builds the data, runs the release, and returns its id. Raises GateRefused."""
    path = stage.state / "data" / f"pydoc-{edition}.jsonl"
    built = corpus.build(path, edition)
    say.say(f"dataset {path.name}: {built.rows} rows from {built.sources} documents of this Python")
    spec = stage.scale.spec.model_copy(update={"dataset": path.absolute().as_uri()})
    ask = Ask(stage.root, ENVIRONMENT, lambda: stage.tools.repository)
    done = run_release(parameters(spec, ask), stage.tools, _listener(say))
    if done.outcome == "refused":
        raise GateRefused(done.reason)
    release = cast(RegisterOut, done.outs["register"]).release
    stage.names[release] = f"release {edition}"
    show_evidence(done.outs, say)
    say.say(f"release {edition} is {release[:12]}; summary in {relative_to_here(done.summary)}")
    return release


def show_evidence(outs: Mapping[str, Frozen], say: Narrator) -> None:
    """What the gates have seen, as the record keeps it."""
    verdicts = [out for out in outs.values() if isinstance(out, Verdict)]
    say.table(
        ("figure", "of", "base", "quantized", "value", "interval", "bounds"),
        [_row(figure) for verdict in verdicts for figure in verdict.figures],
    )
    for verdict in verdicts:
        say.say(f"{verdict.reason} (evidence {verdict.evidence[:19]})")


def _row(figure: Figure) -> tuple[str, ...]:
    interval = "" if figure.low == figure.high else f"{figure.low} to {figure.high}"
    bounds = " to ".join(filter(None, (figure.least, figure.most)))
    bounds = bounds if figure.least and figure.most else f"{'≥' if figure.least else '≤'} {bounds}" if bounds else ""
    return figure.name, figure.subject, figure.base, figure.candidate, figure.value, interval, bounds


def follow(stage: Stage, say: Narrator) -> None:
    """Waits until the cluster has applied main."""
    head = stage.tools.repository.head()
    state = wait_applied(stage.state, head)
    say.say(f"applied commit {head[:12]}; the gateway serves revision {state.revision[:12]}")
    say.table(
        ("engine", "release", "address"),
        [(engine.service, engine.release[:12], engine.address) for engine in state.engines],
    )


def question(stage: Stage, say: Narrator) -> Answer:
    """One streamed answer, with what its headers say."""
    sdk = client(stage.gateway, KEY)
    say.say(f"asked of {MODEL} by the OpenAI SDK: {QUESTION}")
    with say.quote() as heard:
        answer = ask(sdk, MODEL, QUESTION, tokens=_ANSWER_TOKENS, heard=heard)
    found = answer.provenance
    say.table(
        ("x-nexus-revision", "x-nexus-route", "x-nexus-release"),
        [(found.revision[:12], found.route, f"{found.release[:12]} ({stage.name(found.release)})")],
    )
    return answer


def trace(stage: Stage, say: Narrator, answer: Answer) -> None:
    """`nexus explain`, from the header back to the data."""
    say.say(f"nexus explain {answer.provenance.revision[:12]}")
    say.block(lines(explain(stage.tools.repository, answer.provenance.revision, ENVIRONMENT)))


def carry_out(stage: Stage, say: Narrator, decide: Callable[[Plan | None], PlanChange]) -> None:
    """One change of the plan: one commit."""
    repository = stage.tools.repository
    with tempfile.TemporaryDirectory(prefix="nexus-demo-") as folder:
        repository.checkout(Path(folder))
        change = decide(read_plan(Path(folder), ENVIRONMENT, MODEL))
    done = make(repository, ENVIRONMENT, change)
    say.say(
        f"{change.message}: commit {done.commits[-1][:12]}"
        if done.commits
        else f"{change.message}: main says so already"
    )


def expect(answer: Answer, release: str) -> None:
    if answer.provenance.release != release:
        raise NexusError(f"release {release[:12]} should have answered, but {answer.provenance.release[:12]} did")


def count(stage: Stage, say: Narrator, release: str) -> None:
    """Counts who answers, and holds the share against the weight in the route."""
    total = stage.scale.questions
    answered = count_releases(client(stage.gateway, KEY), MODEL, total)
    say.table(
        ("answered by", "answers", "share"),
        [(stage.name(r), str(n), f"{100 * n / total:.1f} %") for r, n in sorted(answered.items())],
    )
    share, weight = answered[release] / total, CANARY_WEIGHT / 100
    allowed = _SIGMAS * math.sqrt(weight * (1 - weight) / total)
    if abs(share - weight) > allowed:
        raise NexusError(f"the canary answered {share:.1%} of {total}; {weight:.0%} ± {allowed:.1%} was asked for")


def relative_to_here(path: Path) -> str:
    """As a person in this folder would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _listener(say: Narrator) -> Listener:
    def done(step: StepDone) -> None:
        say.say(f"{step.name:<9} {'unchanged, reused' if step.reused else f'{step.seconds:.1f} s'}")

    return Listener(done=done)
