"""What Elasticsearch holds for the logs. By a digest in its metadata each part tells whether it is this very one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server import Server, Trouble

NAMES = ("gateway-logs", "gateway-audit", "gateway-unparsed")
DIGEST = "nexus_digest"
VECTOR = "nexus-vector"
ROLE = {
    "cluster": ["monitor"],
    "indices": [{"names": [f"{name}-*" for name in NAMES], "privileges": ["create_index", "index", "auto_configure"]}],
}
"""To write, and neither to read nor to delete."""


def is_up(status: int, health: Any) -> bool:
    return status == 200 and not health["timed_out"]


def lifecycles_and_templates(server: Server, folder: Path) -> Iterator[str]:
    """Lifecycles first: a template names one."""
    for name in NAMES:
        policy = _read(folder / f"{name}.lifecycle.json")["policy"]
        yield _kept(server, f"/_ilm/policy/{name}", "lifecycle", name, _marked(policy), {"policy": _marked(policy)})
    for name in NAMES:
        template = _marked(_read(folder / f"{name}.template.json"))
        yield _kept(server, f"/_index_template/{name}", "index template", name, template, template)


def users(server: Server, vector: str | None, kibana: str | None) -> Iterator[str]:
    """A password is right where one can sign in by it; it is set where not."""
    role = _marked(ROLE, "metadata")
    yield _kept(server, f"/_security/role/{VECTOR}", "role", VECTOR, role, role)
    if vector:
        about = {"password": vector, "roles": [VECTOR], "full_name": "Vector, which writes the gateways' logs"}
        yield _signed_in(server, VECTOR, vector, "PUT", f"/_security/user/{VECTOR}", about)
    if kibana:
        about = {"password": kibana}
        yield _signed_in(server, "kibana_system", kibana, "POST", "/_security/user/kibana_system/_password", about)


def _signed_in(server: Server, name: str, password: str, method: str, path: str, about: dict[str, Any]) -> str:
    status, _ = server.ask("GET", "/_security/_authenticate", allowed=(401,), user=(name, password))
    if status == 200:
        return f"unchanged  user {name}"
    server.ask(method, path, about)
    return f"made       user {name}: its password is set"


def _kept(server: Server, path: str, what: str, name: str, wanted: dict[str, Any], body: dict[str, Any]) -> str:
    status, answer = server.json("GET", path, allowed=(404,))
    if status == 200 and _digest_in(answer) == _digest_in(wanted):
        return f"unchanged  {what} {name}"
    server.ask("PUT", path, body)
    return f"{'changed' if status == 200 else 'made':<9}  {what} {name}"


def _marked(part: dict[str, Any], place: str = "_meta") -> dict[str, Any]:
    text = json.dumps(part, sort_keys=True)
    return {**part, place: {DIGEST: hashlib.sha256(text.encode()).hexdigest()[:16]}}


def _digest_in(answer: Any) -> str | None:
    """The one that stands somewhere in an answer; each API wraps it in another way."""
    if isinstance(answer, dict):
        own = answer.get(DIGEST)
        return own if isinstance(own, str) else next(filter(None, map(_digest_in, answer.values())), None)
    return next(filter(None, map(_digest_in, answer)), None) if isinstance(answer, list) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_bytes())
    except OSError as error:
        raise Trouble(f"{path} cannot be read ({error.strerror}): run this from a whole checkout") from None
    return read
