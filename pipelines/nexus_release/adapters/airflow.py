"""Tells Airflow of drift: an event of the asset `nexus://drift/<model>`, over its REST API.

Paths, fields and pages are those of Airflow 3.3 (airflow/api_fastapi/core_api/routes/public/assets.py). A call that is
not answered is not sent again in here: the next look asks first whether the event has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nexus_release.errors import BadInput, Missing, NexusError, Unreachable
from nexus_release.terminal import plain_line

_SECONDS = 30.0  # for one answer
_PAGE = 50  # events; Airflow's own limit may be lower, and then it gives fewer
_MAY_PASS = {408, 425, 429}
_SHOWN = 300  # characters of a refusal


class AirflowEvents:
    """The port `DriftEvents`. `url` is that of Airflow's API server, `token` what its `/auth/token` gives."""

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadInput("--airflow", url, "give the address of Airflow's API server: https://airflow.example.com")
        self._url, self._token = url.rstrip("/"), token

    def knows(self, model: str, report: str) -> bool:
        return any((event.get("extra") or {}).get("report") == report for event in self._events(self._asset(model)))

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        self._ask("POST", "assets/events", body={"asset_id": self._asset(model), "extra": dict(extra)})

    def _asset(self, model: str) -> int:
        """Its id. The server's pattern is one of SQL's LIKE, which finds more than the name."""
        uri = f"nexus://drift/{model}"
        found = self._ask("GET", "assets", {"uri_pattern": uri, "limit": str(_PAGE)})["assets"]
        for asset in found:
            if asset["uri"] == uri:
                return int(asset["id"])
        raise Missing(f"{self._url}: no asset {uri}; is there a DAG for the model in dags/releases.yaml?")

    def _events(self, asset: int) -> Iterator[Mapping[str, Any]]:
        """All of them, newest first."""
        seen = 0
        while True:
            query = {"asset_id": str(asset), "order_by": "-timestamp", "limit": str(_PAGE), "offset": str(seen)}
            page = self._ask("GET", "assets/events", query)["asset_events"]
            yield from page
            seen += len(page)
            if not page:
                return

    def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        import httpx

        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        url = f"{self._url}/api/v2/{path}"
        try:
            answer = httpx.request(method, url, params=query, json=body, headers=headers, timeout=_SECONDS)
        except httpx.HTTPError as error:
            raise Unreachable(f"{url}: {type(error).__name__}: {error}; run it again, nothing is sent twice") from None
        if answer.status_code in _MAY_PASS or answer.is_server_error:
            raise Unreachable(f"{url}: {answer.status_code}; run it again, nothing is sent twice")
        if answer.status_code in (401, 403):
            raise NexusError(f"{url}: {answer.status_code}; give a token that may write assets by NEXUS_AIRFLOW_TOKEN")
        if not answer.is_success:
            raise NexusError(f"{url}: {answer.status_code} {plain_line(answer.text[:_SHOWN])}")
        return answer.json()
