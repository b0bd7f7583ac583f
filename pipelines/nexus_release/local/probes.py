"""Asks processes on this machine how they are. Proxies of the environment are never used."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 5.0


def get(url: str, headers: Mapping[str, str] | None = None) -> bytes | None:
    """The body of a 200 answer; None for any other answer, or none."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/", headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_json(url: str, headers: Mapping[str, str] | None = None) -> Any:
    """The parsed body of a 200 answer; None for anything else."""
    body = get(url, headers)
    try:
        return None if body is None else json.loads(body)
    except ValueError:
        return None


def serves_model(address: str, model: str) -> bool:
    """True once an engine is healthy and lists `model`."""
    if get(f"{address}/health") is None:
        return False
    listed = get_json(f"{address}/v1/models")
    return isinstance(listed, dict) and model in {entry.get("id") for entry in listed.get("data", [])}


def requests_in_engine(address: str) -> int | None:
    """Running and waiting requests by vLLM's metrics; None where the engine does not answer."""
    body = get(f"{address}/metrics")
    return None if body is None else requests_in(body.decode())


_REQUESTS = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


def requests_in(metrics: str) -> int:
    return int(sum(float(value) for value in _REQUESTS.findall(metrics)))
