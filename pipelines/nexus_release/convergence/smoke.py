"""Asks a gateway, as a client does, for each model that its routes name: whole and as a stream.

One try each: an answer that comes at the second try is a fault that a client has too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from nexus_release.convergence.routed import RoutedModel
from nexus_release.frozen import Frozen


class Answer(Frozen):
    """What came back for one request."""

    status: int = 0
    """Of HTTP; 0 where there was none."""
    revision: str = ""
    """x-nexus-revision."""
    release: str = ""
    """x-nexus-release."""
    fallback: str = ""
    """x-fallback-model: another model that answered in its stead."""
    whole: bool = False
    """It has a choice; and a stream has ended as it must, without an error in it."""
    problem: str = ""
    """In the gateway's words, or the network's."""


class Asker(Protocol):
    def ask(self, gateway: str, model: str, *, stream: bool) -> Answer:
        """Nothing is raised: what went wrong is in the answer."""


class Asked(Frozen):
    """One model, asked at one replica."""

    model: str
    gateway: str
    release: str
    """That answered; empty where none did."""
    faults: tuple[str, ...]


def smoke(models: Sequence[RoutedModel], gateways: Sequence[str], revision: str, asker: Asker) -> Iterator[Asked]:
    """One for each model, as soon as it has been asked. Replicas are asked in turn, so that each gets its share."""
    for number, routed in enumerate(models):
        gateway = gateways[number % len(gateways)]
        faults: list[str] = []
        release = ""
        for stream in (False, True):
            answer = asker.ask(gateway, routed.model, stream=stream)
            release = release or answer.release
            faults += [f"{'stream' if stream else 'whole'}: {fault}" for fault in judged(answer, routed, revision)]
        yield Asked(model=routed.model, gateway=gateway, release=release, faults=tuple(faults))


def judged(answer: Answer, routed: RoutedModel, revision: str) -> Iterator[str]:
    """What is wrong with an answer, a sentence each."""
    if answer.status != 200:
        yield f"{answer.status or 'no answer'}: {answer.problem or 'without a reason'}"
        return
    if not answer.whole:
        yield f"the answer is not whole: {answer.problem or 'it has no choice, or does not end'}"
    if answer.fallback:
        yield f"{answer.fallback} answered in its stead; its own engines failed"
    if answer.revision != revision:
        yield f"it was answered by revision {answer.revision[:12] or '(none)'}, not {revision[:12]}"
    if not answer.fallback and answer.release not in routed.names:
        yield f"release {answer.release[:12] or '(none)'} answered, which the plan does not name"


def line(asked: Asked) -> str:
    """For people."""
    verdict = "; ".join(asked.faults) or f"release {asked.release[:12]}"
    return f"{'FAILED' if asked.faults else 'ok':6}  {asked.model}  {asked.gateway}  {verdict}"
