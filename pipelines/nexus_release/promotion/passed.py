"""Whether a release may enter an environment: it is stable in the one below, and the gates of this one hold too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nexus_release.config import Settings, load_settings
from nexus_release.errors import BadInput, Missing, NexusError
from nexus_release.plan import Pointer, read_plan
from nexus_release.ports import Signatures, Store
from nexus_release.promotion.chain import below
from nexus_release.promotion.rejudged import rejudged
from nexus_release.proof.finding import Finding
from nexus_release.proof.signed import answered
from nexus_release.record import Content, read_record
from nexus_release.trust.signed import accepted_keys


def stable_below(main: Path, environment: str, model: str) -> tuple[str, Pointer]:
    """(the environment below, what is stable there by the files of `main`). Raises BadInput where releases begin here,
    Missing where the environment below has no such model."""
    chain = below(main, environment)
    if not chain:
        raise BadInput(
            "--to", environment, f"promotion.from of {environment} is null: `nexus release` is how releases come in"
        )
    plan = read_plan(main, chain[0], model)
    if plan is None:
        raise Missing(f"{model}: {chain[0]} has no such model; release or promote it there first")
    return chain[0], plan.stable


def missing(
    main: Path, environment: str, model: str, pointer: Pointer, store: Store, signatures: Signatures
) -> Iterator[str]:
    """What a release lacks to enter `environment`, by the files of `main`; nothing where it may.

    That a store is not at hand, as on a person's machine, is no lack: the cluster proves the signature before it syncs.
    """
    try:
        yield from not_stable_below(main, environment, model, pointer)
        content = read_record(main, model, pointer.release, pointer.record).content
        yield from unheld(content, load_settings(main, environment))
        signature = signed_for(content, main, environment, store, signatures)
        if signature.state == "lies":
            yield f"signature: {signature.detail}"
    except NexusError as error:
        yield str(error)


def unheld(content: Content, settings: Settings) -> Iterator[str]:
    """Gates that have refused it where it was made, and bounds of this environment's that it does not hold."""
    for result in content.gates:
        if not result.accepted:
            yield f"{result.gate}: refused where the release was made: {result.reason}"
    yield from rejudged(content, settings.gates)


def signed_for(content: Content, main: Path, environment: str, store: Store, signatures: Signatures) -> Finding:
    """By a key that `environment` trusts. Raises SignatureRefused where it trusts none."""
    return answered(content, accepted_keys(main, environment, signatures), store, signatures)


def not_stable_below(main: Path, environment: str, model: str, pointer: Pointer) -> Iterator[str]:
    """Nothing where it is stable in the environment below, or releases begin here. Raises BadInput."""
    chain = below(main, environment)
    if not chain:
        return
    plan = read_plan(main, chain[0], model)
    if plan is None:
        yield f"{chain[0]} has no model {model}"
    elif plan.stable != pointer:
        yield f"it is not stable in {chain[0]}, where {plan.stable.release[:12]} is"
