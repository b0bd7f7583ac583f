"""What would be done with one request, and why: the same decisions as the story's, without sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_gateway.keys import Key
from nexus_gateway.policy import caller_of
from nexus_gateway.routing import BUCKETS, Match, Route, bucket, chain, order
from nexus_gateway.snapshot import Snapshot


def explain(snapshot: Snapshot, model: str, *, key_id: str, sticky: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """`sticky` is a session or user; empty for a request that has none, which is drawn anew each time."""
    caller = caller_of(Key(key_id, None, admin=False), snapshot.table)
    told: dict[str, Any] = {"revision": snapshot.revision, "model": model, "key_id": key_id}
    if not caller.may_use(model):
        return told | {"refused": "model_not_allowed", "because": f"policies.{key_id}.models does not name it"}
    route = snapshot.table.route(model)
    if route is None:
        return told | {"refused": "model_not_found", "because": "no route has that name, and there is no default"}
    told |= {"route": route.name, "policy": caller.policy.model_dump(exclude_none=True)}
    given = {name.lower().encode(): value.encode() for name, value in headers.items()}

    def place(one: Route) -> int:
        return bucket(one, f"{key_id}\0{sticky}")

    def holds(match: Match) -> bool:
        return given.get(match.header) == match.value

    match = next(filter(holds, route.matches), None)
    if match is not None:
        told["because"] = f"header {match.header.decode()} is {match.value.decode()}"
    elif len(route.targets) > 1:
        shares = {target.upstream: f"{target.share * 100 / BUCKETS:g} %" for target in route.targets}
        told |= {"shares": shares, "bucket": place(route) if sticky else None}
        told["because"] = "its session's bucket" if sticky else "drawn anew for each request without a session"
    else:
        told["because"] = "the route's one target"
    tried = [
        {"route": one.name, "upstream": name, "release": snapshot.table.upstreams[name].release or None,
         "endpoints": [endpoint.url for endpoint in snapshot.table.upstreams[name].endpoints]}
        for one in chain(snapshot.table.routes, route, caller.may_use)
        for name in order(one, place, holds)
    ]  # fmt: skip
    return told | {"tries": route.tries, "asked_in_order": tried}


def lines(told: Mapping[str, Any]) -> list[str]:
    """For people."""
    head = [f"revision  {told['revision']}", f"model     {told['model']}, key {told['key_id']}"]
    if "refused" in told:
        return [*head, f"refused   {told['refused']}: {told['because']}"]
    found = [*head, f"route     {told['route']}: {told['because']}"]
    if "shares" in told:
        place = "" if told["bucket"] is None else f"; bucket {told['bucket']} of {BUCKETS}"
        found.append("shares    " + ", ".join(f"{name} {share}" for name, share in told["shares"].items()) + place)
    for number, one in enumerate(told["asked_in_order"], 1):
        release = f", release {one['release'][:12]}" if one["release"] else ""
        found.append(f"{number:<9} {one['upstream']}{release} of {one['route']}: {', '.join(one['endpoints'])}")
    return found
