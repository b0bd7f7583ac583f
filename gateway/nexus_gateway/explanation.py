"""What would be done with one request, and why: the same decisions as the story's, without sending anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from nexus_gateway.candidates import in_order, speaks
from nexus_gateway.endpoints import choose
from nexus_gateway.errors import MODEL_NOT_ALLOWED, MODEL_NOT_FOUND
from nexus_gateway.masking.plan import plan_of
from nexus_gateway.placing.told import choice_told
from nexus_gateway.policy import Caller, place_of
from nexus_gateway.prefix_routing.load import Load
from nexus_gateway.question import Decided, Question, decide, well_but
from nexus_gateway.routes import Table, Upstream
from nexus_gateway.routing import BUCKETS, Route, Shadow
from nexus_gateway.snapshot import Snapshot

NOT_FOUND = "no route has that name, and there is no default"


def explain(
    snapshot: Snapshot,
    question: Question,
    open_circuits: Collection[str] = (),
    loads: Mapping[str, Load | None] = MappingProxyType({}),
    share: float = 0.0,
) -> dict[str, Any]:
    """`open_circuits`: upstreams that are taken to have failed, as patterns. `loads`: of endpoints, where they were
    asked for it; `share`: of its upstream's load that the prompt's group makes. Raises Refusal for a body that is
    none."""
    table = snapshot.table
    decided = decide(question, table)
    told: dict[str, Any] = {
        "revision": snapshot.revision,
        "api": question.surface.api,
        "model": decided.asked.model,
        "key_id": question.key.id,
        "policy_from": policy_name(decided.caller, table),
    }
    if decided.route is None or decided.wanted is None:
        return told | _refused(decided, told["policy_from"])
    told |= {"route": decided.route.name, "policy": decided.caller.policy.model_dump(exclude_none=True)}
    told |= {"limits": asdict(decided.caller.limits), "tokens": decided.tokens}
    told |= _rule(question, decided, decided.route)
    left_out: list[str] = []

    def allowed(model: str) -> bool:
        may = decided.caller.may_use(model)
        if not may:
            left_out.append(model)
        return may

    order = list(in_order(table, replace(decided.wanted, allowed=allowed)))
    look = well_but(open_circuits)
    asked = [(one, upstream) for one, upstream in order if speaks(upstream, question.surface)]
    able = [(one, upstream) for one, upstream in asked if choose(look(upstream, ())) is not None]
    told |= {
        "tries": decided.route.tries,
        "asked_in_order": [
            _engine(one, upstream, decided.caller) | _choice(question, decided, upstream, loads, share)
            for one, upstream in able
        ],
        "passed_over": [
            *_passed(order, asked, f"does not speak {question.surface.api}"),
            *_passed(asked, able, "its circuit is open"),
        ],
        "left_out": left_out,
    }
    shadow = decided.route.shadow
    return told if shadow is None else told | {"copied_to": _copied(shadow, question)}


def policy_name(caller: Caller, table: Table) -> str | None:
    """Where in the routes the caller's policy stands; None where it has none."""
    section, name = place_of(caller.key, table)
    return f"{section}.{name}" if name else None


def _refused(decided: Decided, policy: str | None) -> dict[str, Any]:
    assert decided.refusal is not None  # noqa: S101 - narrows for mypy; without a route it was refused
    condition, because = decided.refusal.condition, str(decided.refusal)
    if condition is MODEL_NOT_ALLOWED:
        models = decided.caller.policy.models
        by_policy = models is not None and decided.asked.model not in models
        because = f"{policy}.models does not name it" if by_policy else "the key or token itself does not name it"
    elif condition is MODEL_NOT_FOUND:
        because = NOT_FOUND
    return {"refused": condition.code, "because": because}


def _rule(question: Question, decided: Decided, route: Route) -> dict[str, Any]:
    match = next(filter(question.holds, route.matches), None)
    if match is not None:
        return {"because": f"header {match.header.decode()} is {match.value.decode()}"}
    if len(route.targets) == 1:
        return {"because": "the route's one target"}
    shares = {target.upstream: f"{target.share * 100 / BUCKETS:g} %" for target in route.targets}
    place = decided.wanted.place(route) if decided.wanted and decided.session else None
    because = "drawn anew for each request without a session" if place is None else "its session's bucket"
    return {"shares": shares, "bucket": place, "because": because}


def _engine(route: Route, upstream: Upstream, caller: Caller) -> dict[str, Any]:
    plan = plan_of(route.masking, caller.policy.masking)
    return {
        "route": route.name,
        "upstream": upstream.name,
        "release": upstream.release or None,
        "endpoints": [endpoint.url for endpoint in upstream.endpoints],
        "masked": sorted(plan.requests | plan.recognized_requests) if plan else [],
    }


def _choice(
    question: Question, decided: Decided, upstream: Upstream, loads: Mapping[str, Load | None], share: float
) -> dict[str, Any]:
    told = choice_told(question, decided, upstream, loads, share)
    return {} if told is None else {"choice": told}


def _passed(
    before: list[tuple[Route, Upstream]], after: list[tuple[Route, Upstream]], because: str
) -> Iterator[dict[str, str]]:
    for route, upstream in before:
        if (route, upstream) not in after:
            yield {"route": route.name, "upstream": upstream.name, "because": because}


def _copied(shadow: Shadow, question: Question) -> dict[str, Any]:
    match = shadow.match
    when = f"header {match.header.decode()} is {match.value.decode()}" if match else "every request"
    share = 0.0 if match is not None and not question.holds(match) else shadow.share * 100 / BUCKETS
    return {"upstream": shadow.upstream, "percent": share, "when": when}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """For people."""
    yield f"revision  {told['revision']}"
    yield f"model     {told['model']}, key {told['key_id']}, by {told['api']}"
    if "refused" in told:
        yield f"refused   {told['refused']}: {told['because']}"
        return
    yield f"route     {told['route']}: {told['because']}"
    if "shares" in told:
        place = "" if told["bucket"] is None else f"; bucket {told['bucket']} of {BUCKETS}"
        yield "shares    " + ", ".join(f"{name} {share}" for name, share in told["shares"].items()) + place
    yield f"policy    {told['policy_from'] or 'none: nothing is limited'}"
    if limits := {name: most for name, most in told["limits"].items() if most is not None}:
        yield (
            "limits    "
            + ", ".join(f"{name} {most}" for name, most in limits.items())
            + f"; {told['tokens']} tokens are kept free"
        )
    for number, one in enumerate(told["asked_in_order"], 1):
        release = f", release {one['release'][:12]}" if one["release"] else ""
        masked = f"; masked: {', '.join(one['masked'])}" if one["masked"] else ""
        yield f"{number:<9} {one['upstream']}{release} of {one['route']}: {', '.join(one['endpoints'])}{masked}"
        yield from _choice_lines(one.get("choice"))
    for one in told["passed_over"]:
        yield f"not       {one['upstream']} of {one['route']}: {one['because']}"
    for name in told["left_out"]:
        yield f"not       fallback {name}: this caller may not use it"
    if "copied_to" in told:
        copy = told["copied_to"]
        yield f"copy      {copy['percent']:g} % to {copy['upstream']}: {copy['when']}"


def _choice_lines(choice: Mapping[str, Any] | None) -> Iterator[str]:
    if choice is None:
        return
    yield f"  key     {choice['key']}: group {choice['group']}, conversation {choice['conversation']}"
    yield f"  home    {choice['home']}, one of {choice['width']} of the group"
    yield f"  taken   {choice['assumed']}; the group makes {choice['group_share']:.0%} of the load"
    if choice["width"] == 1 < len(choice["order"]):
        order = ", ".join(choice["order"][1:])
        yield f"  even    where home has more groups than is even, this one may go to the next with fewer of: {order}"
    yield f"  asked   {choice['asked']} ({choice['why']}): {choice['because']}"
    if (new := choice["if_new"]) is not None:
        yield f"  if new  {new['asked']} ({new['why']}): nobody has answered it, and all were given as many"
    for one in choice["loads"]:
        said = "" if one["known"] else "; it says nothing of its load, and is taken for as loaded as the others"
        yield (
            f"  load    {one['endpoint']}: {one['queued_tokens']} tokens wait, {one['requests']:g} requests, "
            f"{one['cache_used']:.0%} of its KV cache in use{said}"
        )
