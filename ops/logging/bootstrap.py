"""Gives Elasticsearch and Kibana what the gateways' logs need: once, or as often as you like.

    ops/logging/observability_bootstrap

Lifecycles, index templates, a role and a user for Vector, Kibana's own password, data views, searches and a dashboard.
What is there as it should be is left alone, and each line says what was done. It needs Python and nothing besides.

    ELASTICSEARCH_URL   http://127.0.0.1:9200
    KIBANA_URL          http://127.0.0.1:5601
    ELASTIC_PASSWORD    of the user elastic; without it no users are made
    VECTOR_PASSWORD     of the user nexus-vector, which it is given
    KIBANA_PASSWORD     of the user kibana_system, which it is given
    DATA_VIEW_ID        gateway-logs; a data view of your own, which is used and not changed
    WAIT_SECONDS        180, for each of the two to come up

Exits 1 with what to do where it cannot go on. Nothing is tried again but to wait for the two; run it once more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import in_elasticsearch
import in_kibana
from server import Server, Trouble

OPS = Path(__file__).resolve().parent.parent


def main() -> int:
    try:
        for done in bootstrap(os.environ):
            print(done, flush=True)
    except Trouble as trouble:
        print(f"observability_bootstrap: {trouble}", file=sys.stderr)
        return 1
    return 0


def bootstrap(given: Mapping[str, str]) -> Iterator[str]:
    """What was done, line by line. Users first, since Kibana comes up only with its own."""
    user = ("elastic", given["ELASTIC_PASSWORD"]) if given.get("ELASTIC_PASSWORD") else None
    elasticsearch = Server("Elasticsearch", given.get("ELASTICSEARCH_URL") or "http://127.0.0.1:9200", user)
    kibana = Server("Kibana", given.get("KIBANA_URL") or "http://127.0.0.1:5601", user)
    seconds = _seconds(given.get("WAIT_SECONDS") or "180")
    elasticsearch.wait("/_cluster/health?wait_for_status=yellow&timeout=1s", in_elasticsearch.is_up, seconds)
    if user:
        yield from in_elasticsearch.users(elasticsearch, given.get("VECTOR_PASSWORD"), given.get("KIBANA_PASSWORD"))
    yield from in_elasticsearch.lifecycles_and_templates(elasticsearch, OPS / "elasticsearch")
    kibana.wait("/api/status", in_kibana.is_up, seconds)
    yield from in_kibana.saved_objects(kibana, OPS / "kibana" / "saved_objects.ndjson", given.get("DATA_VIEW_ID"))


def _seconds(text: str) -> float:
    if not text.isdigit():
        raise Trouble(f"WAIT_SECONDS is {text!r}: give whole seconds")
    return float(text)


if __name__ == "__main__":
    sys.exit(main())
