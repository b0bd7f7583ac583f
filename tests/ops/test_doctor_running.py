"""`nexus doctor` asks servers that are well, and each that is not.

Gateway, Redis, Prometheus, Alertmanager and the Git remote are real; Kafka's brokers are librdkafka's own mock cluster,
Elasticsearch and Kibana the double that the bootstrap is tested by. Grafana and MLflow are pages with the fields of
their APIs; the real MLflow is asked in tests/release/test_registry_passwords.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from nexus_release.adapters import service_answers
from nexus_release.config import load_settings
from nexus_release.dashboards.grafana import DATASOURCE
from nexus_release.doctor import looks
from nexus_release.doctor.log_path import INDICES
from nexus_release.local.free_ports import free_port
from nexus_release.local.processes import started_at
from nexus_release.local.state import LocalState, Mark, write_state
from nexus_release.plan import admitted
from nexus_release.watching.groups import groups

from ..support.alert_sink import AlertSink
from ..support.alertmanager_server import Alertmanager
from ..support.canary_walk import MODEL, ONE, TWO
from ..support.doctor import COMPOSE_WELL, Doctor, Found, compose_home, pages
from ..support.elastic import elastic
from ..support.endless import MOST, endless
from ..support.gateway import Gateway, until
from ..support.prometheus_server import Prometheus
from ..support.redis_server import RedisServer
from ..support.releases import make_record
from ..support.remotes import Remote, plant_house
from ..support.repository import ROOT
from ..support.typed_page import typed

pytestmark = pytest.mark.services
SELDOM = {"global": {"scrape_interval": "10s"}}
"""For which a target may stand still, too, before it counts as down."""
GONE = "http://127.0.0.1:1"  # given out to nobody; and it names a case alike in every process of a run
RULES = [str(path) for path in sorted((ROOT / "ops" / "prometheus" / "rules").glob("*.yaml"))]
ALERTS = {alert.name for group in groups("local", load_settings(ROOT, "local")).values() for alert in group.alerts}


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Doctor:
    return Doctor(monkeypatch, capsys, tmp_path / "state")


def test_whom_nobody_has_named_is_not_here_and_no_fault(doctor: Doctor) -> None:
    found = doctor("running")
    assert {one["verdict"] for several in found.values() for one in several} == {"not here"}
    assert len(found) == 10


@pytest.mark.parametrize(
    ("name", "variable", "address"),
    [
        ("gateway", "NEXUS_GATEWAY", GONE),
        ("MLflow", "MLFLOW_TRACKING_URI", GONE),
        ("Redis", "NEXUS_REDIS", GONE.replace("http:", "redis:")),
        ("Prometheus", "NEXUS_PROMETHEUS", GONE),
        ("Alertmanager", "NEXUS_ALERTMANAGER", GONE),
        ("Grafana", "NEXUS_GRAFANA", GONE),
        ("Kafka", "KAFKA_BOOTSTRAP_SERVERS", GONE.removeprefix("http://")),
        ("Elasticsearch", "ELASTICSEARCH_URL", GONE),
        ("Kibana", "KIBANA_URL", GONE),
    ],
)
def test_whoever_is_named_and_does_not_answer_is_a_fault(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, address: str
) -> None:
    monkeypatch.setattr(service_answers, "_SECONDS", 1.0)  # Kafka's client goes on dialling
    found = doctor("running", **{variable: address})
    assert found[name][0]["verdict"] == "fail"
    assert {one[0]["verdict"] for other, one in found.items() if other not in (name, "revision")} == {"not here"}


def test_an_address_that_is_none_is_a_fault_that_names_its_variable(doctor: Doctor) -> None:
    verdict, said = doctor.of("Prometheus", NEXUS_PROMETHEUS="localhost:9090")
    assert verdict == "fail"
    assert "NEXUS_PROMETHEUS: 'localhost:9090' is refused" in said


@pytest.mark.parametrize(
    ("name", "variable"),
    [("gateway", "NEXUS_GATEWAY"), ("MLflow", "MLFLOW_TRACKING_URI"), ("Prometheus", "NEXUS_PROMETHEUS")],
)
def test_an_address_that_cannot_be_read_is_a_fault_and_its_password_stays_unsaid(
    doctor: Doctor, name: str, variable: str
) -> None:
    found = doctor("running", **{variable: "http://somebody:pass\N{FULLWIDTH COLON}word@127.0.0.1:1"})
    assert found[name][0]["verdict"] == "fail"
    assert "word" not in str(found)
    assert found["Redis"][0]["verdict"] == "not here", "and the others are looked at"


def test_a_page_without_an_end_is_cut(doctor: Doctor) -> None:
    with endless(b"x" * (1 << 20), 0) as (url, taken):
        assert doctor("running", NEXUS_PROMETHEUS=url)["targets"][0]["verdict"] == "fail"
    assert taken
    assert max(taken) < MOST / 4


def test_a_page_that_trickles_for_ever_is_given_up(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_answers, "_PAGE_SECONDS", 0.5)
    with endless(b"x", 0.05) as (url, _):
        verdict, said = doctor.of("Prometheus", NEXUS_PROMETHEUS=url)
    assert verdict == "fail"
    assert "no end of the page within 0.5 s" in said


OTHER_FORMS: list[Any] = ["word", ["word"], {"status": "word"}, {"data": {"groups": [1], "activeTargets": [1]}}]


@pytest.mark.parametrize("answer", [*OTHER_FORMS, "[" * 100_000], ids=["word", "list", "status", "items", "deep"])
def test_an_answer_of_any_form_is_a_fault_of_who_gives_it(doctor: Doctor, answer: Any) -> None:
    paths = ("/-/ready", "/api/v1/targets", "/api/v1/rules", "/api/v1/alertmanagers", STATUS, "/metrics")
    more = ("/api/health", "/_cluster/health", "/api/status")
    variables = ("NEXUS_PROMETHEUS", "NEXUS_ALERTMANAGER", "NEXUS_GRAFANA", "ELASTICSEARCH_URL", "KIBANA_URL")
    with pages(dict.fromkeys((*paths, *more), (200, answer))) as web:
        found = doctor("running", **dict.fromkeys(variables, web.url))
    for name in ("Prometheus", "Alertmanager", "Grafana", "Elasticsearch", "Kibana"):
        assert found[name][-1]["verdict"] == "fail" or found["targets"][-1]["verdict"] == "fail", name


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Remote, Gateway, Path]]:
    """A remote whose main routes to one release, and a gateway that serves those files."""
    folder = tmp_path_factory.mktemp("served")
    remote = Remote(folder, plant_house)
    for seed in (1, 2):
        remote.record(make_record(MODEL, seed))
    remote.plan(admitted(None, MODEL, ONE))
    routes = folder / "routes.d"
    write(routes, remote)
    gateway = Gateway(folder, "--routes", str(routes)).wait()
    yield remote, gateway, routes
    gateway.stop()


def write(routes: Path, remote: Remote, commit: str = "main") -> None:
    routes.mkdir(exist_ok=True)
    for name, data in remote.files("gitops/local/gateway/routes.d", commit=commit).items():
        (routes / Path(name).name).write_bytes(data)


def test_a_gateway_that_serves_main_is_well_and_one_that_lags_is_a_fault(
    doctor: Doctor, served: tuple[Remote, Gateway, Path]
) -> None:
    remote, gateway, _ = served
    named = {"NEXUS_GATEWAY": gateway.url, "NEXUS_GATEWAY_KEY": "dev-key", "NEXUS_REMOTE": str(remote.path)}
    first = remote.head
    found = doctor("running", **named)
    assert [found[name][0]["verdict"] for name in ("gateway", "revision")] == ["ok", "ok"]
    assert gateway.config()["revision"][:12] in found["revision"][0]["said"]
    remote.plan(admitted(None, MODEL, TWO))
    verdict, said = doctor.of("revision", **named)
    assert verdict == "fail"
    assert f"of commit {first[:12]}, and main has" in said
    assert doctor.of("gateway", **named)[0] == "ok"


def test_what_nexus_up_has_started_is_asked_without_being_named(
    doctor: Doctor, served: tuple[Remote, Gateway, Path], tmp_path: Path
) -> None:
    """This process stands for the supervisor; what it says of gateway, registry and remote is looked at."""
    remote, gateway, _ = served
    mark = Mark(name="test", pid=os.getpid(), started=started_at(os.getpid()) or "")
    state = LocalState(supervisor=mark, registry=GONE, gateway=gateway.url, remote=str(remote.path), ready=True)
    (tmp_path / "state" / "local").mkdir(parents=True)
    write_state(tmp_path / "state", state)
    found = doctor("running")
    assert (found["gateway"][0]["verdict"], found["MLflow"][0]["verdict"]) == ("ok", "fail")
    assert gateway.config()["revision"][:12] in found["revision"][0]["said"]
    assert {found[name][0]["verdict"] for name in ("Redis", "Kafka")} == {"not here"}


def test_a_gateway_that_says_nothing_to_this_key_is_a_fault(
    doctor: Doctor, served: tuple[Remote, Gateway, Path]
) -> None:
    remote, gateway, _ = served
    named = {"NEXUS_GATEWAY": gateway.url, "NEXUS_GATEWAY_KEY": "nobody", "NEXUS_REMOTE": str(remote.path)}
    verdict, said = doctor.of("revision", **named)
    assert verdict == "fail"
    assert "NEXUS_GATEWAY_KEY is no key with the scope admin" in said


def test_a_gateway_that_lives_and_is_not_ready_is_a_fault(doctor: Doctor) -> None:
    with pages({"/health": (200, {"status": "ok"}), "/ready": (503, {"status": "draining"})}) as web:
        verdict, said = doctor.of("gateway", NEXUS_GATEWAY=web.url)
    assert verdict == "fail"
    assert "lives and is not ready: 503" in said
    assert "draining" in said


@pytest.mark.parametrize(
    ("asked", "verdict", "said"),
    [
        ((200, {"registered_models": []}), "ok", "version 3.17.0"),
        ((401, "who are you"), "fail", "lists no models: 401"),
    ],
)
def test_a_registry_is_asked_whether_it_lives_and_lists_models(
    doctor: Doctor, asked: tuple[int, Any], verdict: str, said: str
) -> None:
    listed = "/api/2.0/mlflow/registered-models/search"
    with pages({"/health": (200, "OK"), "/version": (200, "3.17.0"), listed: asked}) as web:
        found = doctor.of("MLflow", MLFLOW_TRACKING_URI=web.url)
    assert found[0] == verdict
    assert said in found[1]


def test_redis_is_told_apart_by_memory_and_role(doctor: Doctor, tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    try:
        with redis.Redis(port=server.port) as client:
            verdict, said = doctor.of("Redis", NEXUS_REDIS=server.url)
            assert (verdict, "nothing bounds its memory" in said) == ("warn", True)
            client.config_set("maxmemory", 1 << 30)
            assert doctor.of("Redis")[0] == "ok"
            server.fill()
            verdict, said = doctor.of("Redis")
            assert (verdict, "is full" in said) == ("fail", True)
            client.replicaof("127.0.0.1", str(free_port()))
            verdict, said = doctor.of("Redis")
            assert (verdict, "follows another" in said) == ("fail", True)
    finally:
        server.kill()


def test_a_prometheus_and_an_alertmanager_that_have_everything_are_well(
    doctor: Doctor, tmp_path: Path, served: tuple[Remote, Gateway, Path]
) -> None:
    _, gateway, _ = served
    sink = AlertSink()
    with ExitStack() as running:
        running.callback(sink.stop)
        alertmanager = Alertmanager(made(tmp_path / "alertmanager"), sink)
        running.callback(alertmanager.stop)
        address = f"127.0.0.1:{alertmanager.port}"
        told = {"alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}, "rule_files": RULES}
        told |= SELDOM
        prometheus = Prometheus(made(tmp_path / "prometheus"), {gateway.port: {}}, told, itself=True)
        running.callback(prometheus.stop)
        until(lambda: sorted(prometheus.query("up")) == [1.0, 1.0], "both are scraped", 60)
        named = {"NEXUS_PROMETHEUS": prometheus.url, "NEXUS_ALERTMANAGER": alertmanager.url}
        found = until(lambda: all_well(doctor("running", **named)), "Prometheus has found its Alertmanager", 60)
        typed_of_compose(tmp_path, gateway, prometheus, alertmanager)
    assert f"http://{address}" in found["alerts"][0]["said"]
    assert found["Alertmanager"][0]["said"] == "receivers: on-call, dead-mans-switch, team"


def typed_of_compose(folder: Path, gateway: Gateway, prometheus: Prometheus, alertmanager: Alertmanager) -> None:
    """The page's block for what `make compose` has started, whose Grafana and MLflow are pages here."""
    compose_home(folder)
    with pages(COMPOSE_WELL) as web:
        here = {
            "http://127.0.0.1:8000": gateway.url,
            "http://127.0.0.1:9090": prometheus.url,
            "http://127.0.0.1:9093": alertmanager.url,
            "127.0.0.1:3000": web.url.removeprefix("http://"),
            "http://127.0.0.1:5000": web.url,
        }
        typed(__file__, "docs/how-to/check-everything.md", here, folder, NEXUS_STATE=str(folder / "state"))


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def all_well(found: Found) -> Found | None:
    ours = ("Prometheus", "targets", "rules", "alerts", "Alertmanager", "receivers")
    return found if all(found[name][0]["verdict"] == "ok" for name in ours) else None


def test_a_prometheus_that_lacks_everything_says_each(doctor: Doctor, tmp_path: Path) -> None:
    port = free_port()
    prometheus = Prometheus(tmp_path, {port: {}}, SELDOM, itself=True)
    try:
        until(lambda: sorted(prometheus.query("up")) == [0.0, 1.0], "one is down", 60)
        found = doctor("running", NEXUS_PROMETHEUS=prometheus.url)
    finally:
        prometheus.stop()
    assert found["targets"][0]["said"].startswith(f"1 of 2 are down: http://127.0.0.1:{port}/metrics (")
    assert found["rules"][0]["said"].startswith(f"{len(ALERTS)} of {len(ALERTS)} alerts of local are not loaded: ")
    assert found["alerts"][0]["verdict"] == "warn"
    assert [found[name][0]["verdict"] for name in ("Prometheus", "targets", "rules")] == ["ok", "fail", "fail"]


def test_a_rule_that_cannot_be_worked_out_is_a_fault(doctor: Doctor) -> None:
    rules = [{"name": name, "type": "alerting", "health": "ok"} for name in sorted(ALERTS)]
    rules[3] |= {"health": "err", "lastError": "duplicate series"}
    said = {"status": "success", "data": {"groups": [{"name": "one", "rules": rules}]}}
    with pages({"/-/ready": (200, ""), "/api/v1/rules": (200, said)}) as web:
        found = doctor("running", NEXUS_PROMETHEUS=web.url)
    assert found["rules"][0]["said"] == f"1 cannot be worked out: {rules[3]['name']}: duplicate series"
    assert found["targets"][0]["said"].startswith("404")
    assert found["targets"][0]["verdict"] == "fail"


STATUS = "/api/v2/status"


@pytest.mark.parametrize(
    ("config", "metrics", "verdicts", "said"),
    [
        ("receivers: [{name: team, slack_configs: [{}]}]", "", ["ok", "ok"], "receivers: team"),
        ("receivers: [{name: nobody}]", "", ["warn", "ok"], "receivers that tell nobody: nobody"),
        ("receivers: []", "", ["warn", "ok"], "there are none"),
        (
            "receivers: [{name: team, slack_configs: [{}]}]",
            'alertmanager_notifications_failed_total{integration="slack",reason="other"} 3\n',
            ["ok", "warn"],
            "receivers: team",
        ),
    ],
)
def test_receivers_that_tell_nobody_and_those_that_failed_are_said(
    doctor: Doctor, config: str, metrics: str, verdicts: list[str], said: str
) -> None:
    answers = {"/-/ready": (200, ""), STATUS: (200, {"config": {"original": config}}), "/metrics": (200, metrics)}
    with pages(answers) as web:
        found = doctor("running", NEXUS_ALERTMANAGER=web.url)
    assert [found[name][0]["verdict"] for name in ("Alertmanager", "receivers")] == verdicts
    assert said in found["Alertmanager"][0]["said"]
    assert ("slack" in found["receivers"][0]["said"]) == (verdicts[1] == "warn")


@pytest.mark.parametrize(
    ("asked", "verdict", "said"),
    [
        ((200, {"status": "OK", "message": "Successfully queried the Prometheus API."}), "ok", "Successfully"),
        ((401, {"message": "Unauthorized"}), "warn", "it was not asked: 401"),
        ((404, {"message": "Data source not found"}), "fail", "not found"),
        ((400, {"status": "ERROR", "message": "connection refused"}), "fail", "connection refused"),
    ],
)
def test_grafana_is_asked_for_the_datasource_of_every_dashboard(
    doctor: Doctor, asked: tuple[int, Any], verdict: str, said: str
) -> None:
    assert looks.DATASOURCE == DATASOURCE
    answers = {"/api/health": (200, {"database": "ok", "version": "11.6.0"})}
    with pages({**answers, f"/api/datasources/uid/{DATASOURCE}/health": asked}) as web:
        found = doctor("running", NEXUS_GRAFANA=web.url)
    assert found["Grafana"][0]["verdict"] == "ok"
    assert found["datasource"][0]["verdict"] == verdict
    assert said in found["datasource"][0]["said"]


def test_brokers_with_every_topic_are_well_and_a_missing_one_is_a_fault(doctor: Doctor) -> None:
    from confluent_kafka import Producer

    keeper = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    brokers = keeper.list_topics(timeout=30).brokers.values()
    servers = ",".join(f"{one.host}:{one.port}" for one in brokers)
    for topic in INDICES[1:]:
        keeper.produce(topic, b"a line")
    keeper.flush(30)
    verdict, said = doctor.of("Kafka", KAFKA_BOOTSTRAP_SERVERS=servers)
    assert (verdict, said) == ("fail", f"{servers} lacks the topics gateway-logs")
    keeper.produce(INDICES[0], b"a line")
    keeper.flush(30)
    assert doctor.of("Kafka", KAFKA_BOOTSTRAP_SERVERS=servers)[0] == "ok"


def test_elasticsearch_and_kibana_are_asked_for_what_the_bootstrap_makes(doctor: Doctor) -> None:
    with elastic() as double:
        named = {"ELASTICSEARCH_URL": double.url, "KIBANA_URL": double.url}
        nobody = doctor("running", **named)
        named["ELASTIC_PASSWORD"] = "of-elastic"
        bare = doctor("running", **named)
        for name in INDICES:
            double.kept[f"/_index_template/{name}"] = {"index_patterns": [f"{name}-*"]}
            double.views[name] = {"id": name}
        whole = doctor("running", **named)
        double.ill["/_cluster/health"] = (200, {"status": "red"})
        double.ill["/api/status"] = (200, {"status": {"overall": {"level": "unavailable"}}})
        ill = doctor("running", **named)
    both = ("Elasticsearch", "Kibana")
    assert [nobody[name][0]["verdict"] for name in both] == ["fail", "fail"]
    assert "ELASTIC_PASSWORD" in nobody["Elasticsearch"][0]["mend"]
    assert [bare[name][0]["verdict"] for name in both] == ["fail", "fail"]
    assert "lacks the index templates gateway-logs, gateway-audit, gateway-unparsed" in bare["Elasticsearch"][0]["said"]
    assert "lacks the data views gateway-logs" in bare["Kibana"][0]["said"]
    assert [whole[name][0]["verdict"] for name in both] == ["ok", "ok"]
    assert [ill[name][0]["verdict"] for name in both] == ["fail", "fail"]
    assert "red" in ill["Elasticsearch"][0]["said"]
