"""The evidence of a canary's step: a file in Git that says what was seen and decided, and by which it can be decided
again.

`gitops/evidence/<env>/<model>/<sha256 of the file>.json`, append-only. Each file of a canary names the one before it
and holds what was seen since, so that together they are all that the test has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from nexus_release.canary.decision import Decision, Judged, Moments, decide
from nexus_release.canary.figures import Source
from nexus_release.canary.policy import CanaryPolicy
from nexus_release.canary.tallies import Block, Tally
from nexus_release.digests import Digest, HexId, canonical_json, digest_bytes
from nexus_release.documents import validated_json
from nexus_release.errors import BadInput, DigestMismatch
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName, ModelName, model_slug
from nexus_release.plan import Plan, promoted, shifted
from nexus_release.prices import money_text

EVIDENCE = "gitops/evidence/"


Arm = Literal["stable", "canary"]


class Cost(Frozen):
    """For people; what is judged is the time that answers hold an engine."""

    seconds_an_answer: str
    tokens_an_answer: str
    per_million_tokens: str
    """Of answers, with its currency; by the time that they hold one of a pod's places."""


class Evidence(Frozen):
    version: Literal[1] = 1
    environment: EnvironmentName
    model: ModelName
    stable: HexId
    canary: HexId
    weight: int = Field(ge=0, le=100)
    """Before the decision."""
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Of main, that was looked at."""
    previous: Digest | None
    """The file before this one of the same two releases; None of the first."""
    source: Source
    notes: tuple[str, ...]
    """What was missing of the figures."""
    moments: Moments
    bounds: dict[str, Any]
    """`canary` of the settings, with decimal numbers as text."""
    buckets: dict[str, tuple[str, ...]]
    """Of each histogram the bounds, in seconds or tokens."""
    blocks: tuple[Block, ...]
    """Since the weight was set."""
    tests: tuple[Judged, ...]
    decision: Decision
    cost: dict[Arm, Cost]

    @property
    def policy(self) -> CanaryPolicy:
        return CanaryPolicy.model_validate(self.bounds)


def bounds_of(policy: CanaryPolicy) -> dict[str, Any]:
    text: dict[str, Any] = _without_floats(policy.model_dump(mode="json"))
    return text


def evidence_text(evidence: Evidence) -> str:
    """The file: canonical JSON on one line."""
    return canonical_json(evidence.model_dump(mode="json")).decode() + "\n"


def evidence_path(evidence: Evidence) -> str:
    name = digest_bytes(evidence_text(evidence).encode()).removeprefix("sha256:")
    return f"{evidence_folder(evidence.environment, evidence.model)}/{name}.json"


def evidence_folder(environment: str, model: str) -> str:
    return f"{EVIDENCE}{environment}/{model_slug(model)}"


def parse_evidence(data: bytes, path: str) -> Evidence:
    """Raises BadInput, or DigestMismatch where the file is not what its name says."""
    named = "sha256:" + PurePosixPath(path).stem
    if (found := digest_bytes(data)) != named:
        raise DigestMismatch(path, named, found)
    evidence = validated_json(Evidence, data, path)
    if evidence_text(evidence).encode() != data:
        raise BadInput(path, "its bytes", "write it as Nexus does: canonical JSON, each key once")
    return evidence


def read_evidence(root: Path, environment: str, model: str) -> dict[str, Evidence]:
    """Digest -> evidence, of every file of the model. Raises BadInput or DigestMismatch."""
    folder = root / evidence_folder(environment, model)
    files = sorted(folder.glob("*.json"))
    return {
        "sha256:" + file.stem: parse_evidence(file.read_bytes(), file.relative_to(root).as_posix()) for file in files
    }


def chain(found: dict[str, Evidence], stable: str, canary: str) -> list[tuple[str, Evidence]]:
    """The files of these two releases, oldest first; empty where there are none. Raises BadInput where two are the
    last, or one that another follows is gone."""
    own = {digest: one for digest, one in found.items() if (one.stable, one.canary) == (stable, canary)}
    followed = {one.previous for one in own.values()}
    heads = [digest for digest in own if digest not in followed]
    if len(heads) > 1:
        raise BadInput("evidence", sorted(heads), f"two files are the last of canary {canary[:12]}; remove one by hand")
    links: list[tuple[str, Evidence]] = []
    digest = heads[0] if heads else None
    while digest is not None:
        if digest not in own:
            raise BadInput("evidence", digest, f"it is gone, and {links[-1][0]} follows it: bring it back from history")
        links.append((digest, own[digest]))
        digest = own[digest].previous
    return links[::-1]


def seen_before(links: Sequence[tuple[str, Evidence]]) -> list[Block]:
    """What they have seen since the canary last went back: a person who gives it a weight then begins anew."""
    blocks: list[Block] = []
    for _, evidence in links:
        blocks = [] if evidence.decision.action == "revert" else [*blocks, *evidence.blocks]
    return blocks


def decided_again(evidence: Evidence, earlier: Sequence[Block]) -> tuple[tuple[Judged, ...], Decision]:
    return decide(evidence.policy, evidence.weight, evidence.moments, earlier, evidence.blocks)


def after_decision(plan: Plan, evidence: Evidence, retain: int) -> Plan:
    """The plan that the evidence asks for."""
    if evidence.decision.action == "promote":
        return promoted(plan, evidence.canary, retain)
    return shifted(plan, evidence.canary, evidence.decision.weight)


def cost_of(tallies: Sequence[Tally], place_hour: Decimal, currency: str) -> Cost:
    """`place_hour`: price of one of the requests that a pod serves at once, for an hour."""
    answers, tokens = sum(sum(one.cost) for one in tallies), sum(one.tokens for one in tallies)
    hours = Decimal(sum(one.milliseconds for one in tallies)) / 3_600_000
    return Cost(
        seconds_an_answer=f"{hours * 3600 / max(1, answers):.3f}",
        tokens_an_answer=f"{tokens / max(1, answers):.1f}",
        per_million_tokens=money_text(hours * place_hour * 1_000_000 / max(1, tokens), currency, 4),
    )


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: _without_floats(item) for key, item in value.items()}
    return value
