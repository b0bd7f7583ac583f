"""What Kibana holds for the logs. What people change there stays until the objects of this checkout are other ones."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server import Server, Trouble

LOGS = "gateway-logs"
"""The data view that DATA_VIEW_ID puts another one in the place of."""
Object = dict[str, Any]


def is_up(status: int, answer: Any) -> bool:
    return status == 200 and answer["status"]["overall"]["level"] == "available"


def saved_objects(server: Server, file: Path, data_view: str | None) -> Iterator[str]:
    objects = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if data_view and data_view != LOGS:
        objects = [_for_view(one, data_view) for one in objects]
    for view in (one for one in objects if one["type"] == "index-pattern"):
        yield _data_view(server, view, theirs=view["id"] == data_view)
    yield _imported(server, [one for one in objects if one["type"] != "index-pattern"])


def _for_view(one: Object, data_view: str) -> Object:
    if one["type"] == "index-pattern":
        return {**one, "id": data_view if one["id"] == LOGS else one["id"]}
    references = [
        {**to, "id": data_view} if (to["type"], to["id"]) == ("index-pattern", LOGS) else to for to in one["references"]
    ]
    return {**one, "references": references}


def _data_view(server: Server, view: Object, theirs: bool) -> str:
    """Ours is put right; `theirs`, named by DATA_VIEW_ID, is made where it is not and refused where it shows others."""
    name, wanted = view["id"], view["attributes"]
    status, answer = server.json("GET", f"/api/data_views/data_view/{name}", allowed=(404,))
    found = answer["data_view"] if status == 200 else {}
    if all(found.get(key) == wanted[key] for key in ("title", "timeFieldName")):
        return f"unchanged  data view {name}"
    if found and theirs:
        raise Trouble(
            f"the data view {name} shows {found.get('title')} by {found.get('timeFieldName')}, and the searches want "
            f"{wanted['title']} by {wanted['timeFieldName']}: set DATA_VIEW_ID to another one, or to a new id"
        )
    body = {"data_view": {"id": name, **wanted}, "override": bool(found)}
    server.ask("POST", "/api/data_views/data_view", body)
    return f"{'changed' if found else 'made':<9}  data view {name}"


def _imported(server: Server, objects: list[Object]) -> str:
    what = f"{len(objects)} searches, queries and dashboards"
    held = _exported(server, objects)
    if held and {_mark(one) for one in held} == {_mark(one) for one in objects}:
        return f"unchanged  {what}"
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="nexus.ndjson"\r\n\r\n'
    lines = "\n".join(json.dumps(one) for one in objects)
    form = (f"multipart/form-data; boundary={edge}", f"{head}{lines}\r\n--{edge}--\r\n".encode())
    _, text = server.ask("POST", "/api/saved_objects/_import?overwrite=true", form=form)
    answer = json.loads(text)
    if not answer["success"]:
        faults = [f"{one['type']} {one['id']}: {one['error']['type']}" for one in answer["errors"]]
        raise Trouble(f"Kibana took {answer['successCount']} of {what}, and not {'; '.join(faults)}")
    return f"{'changed' if held else 'made':<9}  {what}"


def _exported(server: Server, objects: list[Object]) -> list[Object]:
    """As Kibana has them; none where one is missing, since then all are imported."""
    wanted = [{"type": one["type"], "id": one["id"]} for one in objects]
    body = {"objects": wanted, "excludeExportDetails": True}
    status, text = server.ask("POST", "/api/saved_objects/_export", body, allowed=(400,))
    return [json.loads(line) for line in text.splitlines() if line] if status == 200 else []


def _mark(one: Object) -> str:
    """What stays of an object that Kibana has migrated: where it leads, and of a dashboard the digest of them all."""
    told = one["attributes"].get("description") if one["type"] == "dashboard" else None
    references = sorted((to["type"], to["id"]) for to in one["references"])
    return json.dumps([one["type"], one["id"], told, references])
