"""ops/logging/observability_bootstrap: what it gives, what a second time changes, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_release.local.free_ports import free_port

from ..support.elastic import Elastic, elastic
from ..support.repository import ROOT
from ..support.typed_page import typed

COMMAND = ROOT / "ops" / "logging" / "observability_bootstrap"


@pytest.fixture
def served() -> Iterator[Elastic]:
    with elastic() as running:
        yield running


def bootstrap(served: Elastic, **given: str) -> subprocess.CompletedProcess[str]:
    variables = {
        "ELASTICSEARCH_URL": served.url,
        "KIBANA_URL": served.url,
        "ELASTIC_PASSWORD": "of-elastic",
        "VECTOR_PASSWORD": "of-vector",
        "KIBANA_PASSWORD": "of-kibana",
        "WAIT_SECONDS": "0",
        "PYTHON": sys.executable,
        "PATH": os.environ["PATH"],
    }
    return subprocess.run([COMMAND], env={**variables, **given}, capture_output=True, text=True, check=False)


def done(served: Elastic, **given: str) -> list[str]:
    """First word of each line."""
    ran = bootstrap(served, **given)
    assert ran.returncode == 0, ran.stderr
    return [line.split()[0] for line in ran.stdout.splitlines()]


def test_the_first_time_makes_everything_and_the_second_changes_nothing(served: Elastic) -> None:
    assert set(done(served)) == {"made"}
    first = list(served.written)
    held = json.dumps([served.kept, served.views, served.passwords, len(served.saved)], sort_keys=True)
    assert set(done(served)) == {"unchanged"}
    assert served.written == first
    assert json.dumps([served.kept, served.views, served.passwords, len(served.saved)], sort_keys=True) == held


def test_what_the_page_says_to_type_makes_everything_and_nothing_the_second_time(
    served: Elastic, tmp_path: Path
) -> None:
    (tmp_path / "ops").symlink_to(ROOT / "ops")
    here = {
        "https://logs.example.com:9200": served.url,
        "https://kibana.example.com": served.url,
        " ELASTIC_PASSWORD=...": " ELASTIC_PASSWORD=of-elastic",
    }
    for expected in ("made", "unchanged"):
        said = typed(__file__, "docs/how-to/follow-a-request.md", here, tmp_path)
        assert {line.split()[0] for line in said.splitlines()} == {expected}


def test_a_template_comes_after_its_lifecycle_and_before_any_document(served: Elastic) -> None:
    done(served)
    paths = [one.split()[1] for one in served.written]
    for name in ("gateway-logs", "gateway-audit", "gateway-unparsed"):
        assert paths.index(f"/_ilm/policy/{name}") < paths.index(f"/_index_template/{name}")
        settings = served.kept[f"/_index_template/{name}"]["template"]["settings"]
        assert settings["index"]["lifecycle"]["name"] == name
    assert paths.index("/_security/user/kibana_system/_password") < paths.index("/api/data_views/data_view")


def test_what_somebody_has_changed_is_put_right_and_only_that(served: Elastic) -> None:
    done(served)
    served.kept["/_index_template/gateway-audit"]["_meta"] = {}
    served.passwords["nexus-vector"] = "changed by hand"
    served.views["gateway-logs"]["title"] = "logs-*"
    del served.saved["search", "nexus-errors"]
    del served.written[:]
    assert done(served).count("unchanged") == 9
    assert served.written == [
        "PUT /_security/user/nexus-vector",
        "PUT /_index_template/gateway-audit",
        "POST /api/data_views/data_view",
        "POST /api/saved_objects/_import",
    ]
    assert served.views["gateway-logs"]["title"] == "gateway-logs-*"


def test_a_data_view_of_one_s_own_is_used_by_every_search_and_not_changed(served: Elastic) -> None:
    own = {"id": "ours", "title": "gateway-logs-*", "timeFieldName": "timestamp", "runtimeFieldMap": {"by": "hand"}}
    served.views["ours"] = dict(own)
    assert done(served, DATA_VIEW_ID="ours").count("unchanged") == 1
    assert served.views["ours"] == own
    assert "gateway-logs" not in served.views
    assert {to["id"] for (kind, _), one in served.saved.items() if kind == "search" for to in one["references"]} == {
        "ours"
    }
    assert set(done(served, DATA_VIEW_ID="ours")) == {"unchanged"}
    assert "changed" in done(served), "back to the first view"


def test_a_data_view_that_is_not_there_is_made_by_the_id_that_is_given(served: Elastic) -> None:
    assert set(done(served, DATA_VIEW_ID="new-one")) == {"made"}
    assert served.views["new-one"]["title"] == "gateway-logs-*"


def test_without_security_no_users_are_made(served: Elastic) -> None:
    served.answer = _without_passwords(served)  # type: ignore[method-assign] # a server that asks for none
    lines = bootstrap(served, ELASTIC_PASSWORD="").stdout
    assert "index template gateway-logs" in lines
    assert "user" not in lines
    assert "role" not in lines


def _without_passwords(served: Elastic) -> Any:
    answer = served.answer
    return lambda method, path, _user, body: answer(method, path, ("elastic", "of-elastic"), body)


CONFLICT = {"type": "search", "id": "x", "error": {"type": "conflict"}}
HEALTH, POLICY = "/_cluster/health", "/_ilm/policy/gateway-logs"
IMPORT = "/api/saved_objects/_import"


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (
            POLICY,
            (403, {"error": {"reason": "unauthorized"}}),
            "does not allow elastic to GET /_ilm/policy/gateway-logs",
        ),
        (
            POLICY,
            (500, {"error": {"reason": "disk\nfull"}}),
            "answered GET /_ilm/policy/gateway-logs by 500: disk full",
        ),
        (HEALTH, (200, "<html>"), "by no JSON: is another server there?"),
        (HEALTH, (503, {"error": "starting"}), "is not ready after 0 s: see what it logs"),
        (HEALTH, (200, {"timed_out": True}), "is not ready after 0 s"),
        ("/api/status", (503, "Kibana server is not ready yet"), "Kibana at"),
        (
            IMPORT,
            (
                200,
                {
                    "success": False,
                    "successCount": 3,
                    "errors": [CONFLICT],
                },
            ),
            "Kibana took 3 of 27 searches, queries and dashboards, and not search x: conflict",
        ),
    ],
)
def test_what_goes_wrong_is_said_with_what_to_do(
    served: Elastic, path: str, answer: tuple[int, Any], said: str
) -> None:
    served.ill[path] = answer
    ran = bootstrap(served)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ELASTIC_PASSWORD": "wrong"}, "refuses the password: set ELASTIC_PASSWORD to that of the user elastic"),
        ({"WAIT_SECONDS": "soon"}, "WAIT_SECONDS is 'soon': give whole seconds"),
        ({"KIBANA_URL": "nowhere"}, "KIBANA_URL is 'nowhere': begin it with http:// or https://"),
    ],
)
def test_a_wrong_setting_is_named(served: Elastic, given: dict[str, str], said: str) -> None:
    ran = bootstrap(served, **given)
    assert ran.returncode == 1
    assert said in ran.stderr


def test_a_server_that_is_not_there_is_named_with_its_variable(served: Elastic) -> None:
    ran = bootstrap(served, ELASTICSEARCH_URL=f"http://127.0.0.1:{free_port()}")
    assert ran.returncode == 1
    assert "start it, or set ELASTICSEARCH_URL to where it is" in ran.stderr


def test_a_view_of_one_s_own_that_shows_others_is_refused(served: Elastic) -> None:
    served.views["ours"] = {"id": "ours", "title": "logs-*", "timeFieldName": "@timestamp"}
    ran = bootstrap(served, DATA_VIEW_ID="ours")
    assert ran.returncode == 1
    assert "the data view ours shows logs-* by @timestamp" in ran.stderr
