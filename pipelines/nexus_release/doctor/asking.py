"""How what runs is asked, and where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from nexus_release.errors import BadInput

VARIABLES = {
    "redis": "NEXUS_REDIS",
    "prometheus": "NEXUS_PROMETHEUS",
    "alertmanager": "NEXUS_ALERTMANAGER",
    "grafana": "NEXUS_GRAFANA",
    "kafka": "KAFKA_BOOTSTRAP_SERVERS",
    "elasticsearch": "ELASTICSEARCH_URL",
    "kibana": "KIBANA_URL",
}
"""Who is asked besides gateway and registry -> the variable that has the address."""


@dataclass(frozen=True)
class Page:
    """An answer over HTTP."""

    status: int
    """0 where there was none."""
    text: str

    @property
    def document(self) -> Any:
        """Of its JSON; None for anything else."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def get(self, key: str) -> Any:
        """A field of a JSON object; None where it is none, or has no such field."""
        document = self.document
        return document.get(key) if isinstance(document, dict) else None

    @property
    def told(self) -> str:
        """For a person: the status, and the beginning of what it says."""
        return self.text if not self.status else f"{self.status} {self.text[:200]}".strip()


class Pages(Protocol):
    def get(self, url: str, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """A name and a word in the URL are given as a password. Never raises: what went wrong is the page's text."""


class Services(Pages, Protocol):
    """Who can be asked, and by what."""

    def redis(self, url: str) -> Mapping[str, Any]:
        """INFO. Raises Unreachable or BadInput."""

    def topics(self, servers: str) -> frozenset[str] | None:
        """Of Kafka; None where no client of it is installed, and all that is known is that a broker takes a
        connection. Raises Unreachable or BadInput."""


def address_of(environ: Mapping[str, str], who: str) -> str:
    """Empty where nobody has named it. Raises BadInput for one that no page could be asked by."""
    variable = VARIABLES[who]
    url = environ.get(variable, "").rstrip("/")
    if url and who not in ("redis", "kafka") and urlsplit(url).scheme not in ("http", "https"):
        raise BadInput(variable, shown(url), "give its address: http://HOST:PORT")
    return url


def shown(url: str) -> str:
    """Without the name and the word in it."""
    parts = urlsplit(url)
    return url.replace(f"{parts.netloc.rpartition('@')[0]}@", "") if "@" in parts.netloc else url
