"""Who the caller is, and what is left of its limits."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from nexus_gateway.explanation import policy_name
from nexus_gateway.gateway import Gateway
from nexus_gateway.limits.windows import Quota
from nexus_gateway.policy import Caller
from nexus_gateway.routes import Table


async def limits_left(gateway: Gateway, caller: Caller, table: Table) -> dict[str, Any]:
    """Asks for more than anybody has: that is refused, so nothing is counted, and the refusal says what is left.
    Open: while Redis is away and limits are set to hold then, `left` has no figure."""
    limits = caller.limits
    left: dict[str, Quota | None] = {"requests": None, "tokens": None}
    if limits.requests is not None or limits.tokens is not None:
        most = limits.tokens or 0
        verdict, _ = await gateway.limiter.reserve(caller.key.owner, replace(limits, tokens=most), most + 1)
        left = {"requests": verdict.requests, "tokens": None if limits.tokens is None else verdict.tokens}
    return {
        "key_id": caller.key.id,
        "tenant": caller.tenant,
        "admin": caller.key.admin,
        "policy": policy_name(caller, table),
        "limits": asdict(limits),
        "left": {name: quota._asdict() if quota else None for name, quota in left.items()},
    }
