"""What is proved of the releases that a plan names: their records, their way through the environments, their gates,
and who answers for them."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_release.config import load_settings
from nexus_release.digests import digest_bytes
from nexus_release.errors import NexusError
from nexus_release.history import plans
from nexus_release.plan import Plan, Pointer, read_plan
from nexus_release.ports import Signatures, Store
from nexus_release.promotion.passed import not_stable_below, signed_for, unheld
from nexus_release.promotion.proof import Proof, proof
from nexus_release.promotion.pull import Pull
from nexus_release.proof import records
from nexus_release.proof.finding import Finding, lies, unproved
from nexus_release.record import Record, read_record, record_path


def of_releases(
    pull: Pull, environment: str, model: str, plan: Plan | None, store: Store, signatures: Signatures
) -> Iterator[Proof]:
    """`plan`: as it would be; None where the model is withdrawn, of which nothing is to be proved."""
    if plan is None:
        return
    now = read_plan(pull.before, environment, model)
    entering = [pointer for pointer in plan.pointers if now is None or pointer not in now.pointers]
    back = _stable_before(pull, environment, model)
    yield _recorded(pull, model, plan)
    yield _passed(pull, environment, model, [one for one in entering if one not in back], len(entering))
    yield _gated(pull, environment, model, [one for one in entering if one not in back])
    yield _signed(pull, environment, model, plan, store, signatures)


def _stable_before(pull: Pull, environment: str, model: str) -> frozenset[Pointer]:
    """Who has been stable in this environment by main's own history: a rollback must stay possible, whatever has become
    of the environments below and of the gates."""
    with pull.history(pull.base) as history:
        return frozenset(at.plan.stable for at in plans(history, environment, model))


def _recorded(pull: Pull, model: str, plan: Plan) -> Proof:
    found = [finding for pointer in plan.pointers for finding in _record(pull, model, pointer)]
    faults = [f"{one.subject}: {one.detail}" for one in found if one.state == "lies"]
    still = [f"{one.subject}: {one.detail}" for one in found if one.state == "unproved" and one.link != "trailer"]
    said = f"ids, digests, history and verdicts of {len(plan.pointers)} releases hold"
    return proof("records", faults, said, still)


def _record(pull: Pull, model: str, pointer: Pointer) -> Iterator[Finding]:
    path = record_path(model, pointer.release)
    try:
        data = (pull.after / path).read_bytes()
    except OSError:
        yield lies("record", path, "no such release record")
        return
    if digest_bytes(data) != pointer.record:
        yield lies("plan", path, f"the plan names {pointer.record}, the file is {digest_bytes(data)}")
    record, finding = records.read(path, pointer.release, data)
    yield finding
    with pull.history(pull.head) as history:
        yield from records.unchanged(path, data, history)
    if record is not None:
        yield from records.verdict(path, record.content)


def _passed(pull: Pull, environment: str, model: str, fresh: list[Pointer], entering: int) -> Proof:
    faults = [
        f"{pointer.release[:12]}: {lack}" for pointer in fresh for lack in _lacks(pull, environment, model, pointer)
    ]
    said = "no release comes in" if not entering else "what comes in is stable below, or releases begin here"
    return proof("passed below", faults, said if fresh or not entering else "what comes in has been stable here before")


def _lacks(pull: Pull, environment: str, model: str, pointer: Pointer) -> Iterator[str]:
    try:
        yield from not_stable_below(pull.before, environment, model, pointer)
    except NexusError as error:
        yield str(error)


def _gated(pull: Pull, environment: str, model: str, fresh: list[Pointer]) -> Proof:
    faults = []
    for pointer in fresh:
        record = _readable(pull, model, pointer)
        if record is not None:
            lacks = unheld(record.content, load_settings(pull.before, environment))
            faults += [f"{pointer.release[:12]}: {lack}" for lack in lacks]
    return proof("gates", faults, f"what comes in holds the bounds of {environment}" if fresh else "nothing to hold")


def _signed(pull: Pull, environment: str, model: str, plan: Plan, store: Store, signatures: Signatures) -> Proof:
    found = []
    for pointer in plan.pointers:
        record = _readable(pull, model, pointer)
        if record is not None:
            found.append(_signature(pull, environment, record, store, signatures))
    faults = [f"{one.subject}: {one.detail}" for one in found if one.state == "lies"]
    still = [f"{one.detail}; the cluster proves it before it syncs" for one in found if one.state == "unproved"]
    return proof("signatures", faults, f"of {len(found)} releases by keys that {environment} trusts", still[:1])


def _signature(pull: Pull, environment: str, record: Record, store: Store, signatures: Signatures) -> Finding:
    try:
        return signed_for(record.content, pull.before, environment, store, signatures)
    except NexusError as error:
        return lies("signature", environment, str(error))
    except ModuleNotFoundError:  # a CI has the small environment of `make check-pr`
        return unproved("signature", environment, "what verifies signatures is not installed here")


def _readable(pull: Pull, model: str, pointer: Pointer) -> Record | None:
    """None where `_recorded` has said what is wrong with it."""
    try:
        return read_record(pull.after, model, pointer.release, pointer.record)
    except NexusError:
        return None
