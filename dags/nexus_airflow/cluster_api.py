"""Asks a cluster's API: where it is, what its refusals mean, and how a run comes to be there once."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
from airflow.sdk import Connection

from nexus_airflow.clusters import Argo, Call, Kfp, Run

_SECONDS = 30.0  # for one answer
_LONGEST_MESSAGE = 500  # characters
_MAY_PASS = {408, 425, 429}


class Refused(Exception):
    """The API has said no, and would say it again."""


class Absent(Refused):
    """404."""


class Taken(Refused):
    """409: the name is another run's, or this one's."""


class Unanswered(Exception):
    """No answer, or one that may be another in a while."""


@dataclass(frozen=True)
class Address:
    url: str
    token: str | None
    authority: str | None
    """File of the certificates to trust; by default those that the machine trusts."""


def address_of(connection: Connection) -> Address:
    """As Airflow's own HTTP hook reads a connection; `{"ca": "/file.pem"}` in its extra names the authority."""
    host = connection.host or ""
    url = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return Address(f"{url.rstrip('/')}{port}", connection.password, connection.extra_dejson.get("ca"))


async def ask(address: Address, call: Call) -> Mapping[str, Any]:
    """Raises Refused or Unanswered. Follows no redirect: it would lead to a page to log in."""
    headers = {"authorization": f"Bearer {address.token}"} if address.token else {}
    trusted = ssl.create_default_context(cafile=address.authority)
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, verify=trusted) as client:
            answer = await client.request(
                call.method, f"{address.url}{call.path}", params=call.query, json=call.body, headers=headers
            )
    except httpx.HTTPError as error:
        raise Unanswered(f"{call.method} {call.path}: {type(error).__name__}: {error}") from None
    if not answer.is_success:
        raise _no(answer, call)
    return _document(answer, call)


async def submitted(cluster: Argo | Kfp, address: Address, name: str, params: str) -> Run:
    """The one run of this name: found, or made, or where it has failed, started again. Raises Refused or Unanswered."""
    run = await _find(cluster, address, name)
    if run is None:
        try:
            return cluster.run(await ask(address, cluster.create(name, params)))
        except Taken:
            run = await _find(cluster, address, name)
    if run is None or run.state == "stopping":
        raise Unanswered(f"{name} is on its way out")
    if run.state == "failed":
        await ask(address, cluster.again(run.id))
        return replace(run, state="running")
    return run


async def _find(cluster: Argo | Kfp, address: Address, name: str) -> Run | None:
    try:
        return cluster.found(await ask(address, cluster.find(name)))
    except Absent:
        return None


def _no(answer: httpx.Response, call: Call) -> Refused | Unanswered:
    said = f"{call.method} {call.path}: {answer.status_code} {answer.text[:_LONGEST_MESSAGE]}"
    if answer.status_code in _MAY_PASS or answer.is_server_error:
        return Unanswered(said)
    return {404: Absent, 409: Taken}.get(answer.status_code, Refused)(said)


def _document(answer: httpx.Response, call: Call) -> Mapping[str, Any]:
    try:
        document = answer.json() if answer.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unanswered(f"{call.method} {call.path}: the answer is no JSON object: {answer.text[:_LONGEST_MESSAGE]}")
    return document
