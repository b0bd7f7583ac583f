"""Whether Prometheus, Alertmanager and Grafana see Nexus, and would tell somebody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from nexus_release.doctor.asking import Page, Pages, shown
from nexus_release.doctor.finding import Finding, fail, ok, warn

_NAMED = 4  # of what is wrong; the rest is counted
_FAILED = re.compile(
    r'^alertmanager_notifications_failed_total\{.*?integration="(\w+)".*?\} ([0-9.e+]+)$', re.MULTILINE
)


def prometheus(pages: Pages, url: str, environment: str, wanted: Set[str]) -> Iterator[Finding]:
    """`wanted`: the names of the environment's alerts."""
    ready = pages.get(url, "/-/ready")
    if ready.status != 200:
        yield fail("Prometheus", f"{shown(url)}/-/ready: {ready.told}", "start it, or look at NEXUS_PROMETHEUS")
        return
    yield ok("Prometheus", f"{shown(url)} is ready")
    yield _targets(pages.get(url, "/api/v1/targets?state=active"))
    yield _rules(pages.get(url, "/api/v1/rules"), environment, wanted)
    yield _told(pages.get(url, "/api/v1/alertmanagers"))


def _targets(page: Page) -> Finding:
    if (found := _list(page, "activeTargets")) is None:
        return _not_understood("targets", page)
    down = [f"{one.get('scrapeUrl')} ({one.get('lastError') or one.get('health')})" for one in found if _down(one)]
    if down:
        mend = "start what is down, or take it out of targets/*.yaml; a pod: look at its ServiceMonitor"
        return fail("targets", f"{len(down)} of {len(found)} are down: {_some(down)}", mend)
    if not found:
        return warn("targets", "it scrapes nothing", "ops/prometheus/prometheus.yml finds gateways by targets/*.yaml")
    return ok("targets", f"{len(found)} are scraped")


def _down(target: Mapping[str, Any]) -> bool:
    """One that has just been found is `unknown` until it is scraped for the first time."""
    return target.get("health") == "down"


def _rules(page: Page, environment: str, wanted: Set[str]) -> Finding:
    if (found := _list(page, "groups")) is None:
        return _not_understood("rules", page)
    rules = [rule for group in found for rule in group.get("rules", [])]
    loaded = {str(rule.get("name")) for rule in rules if rule.get("type") == "alerting"}
    wrong = [f"{rule.get('name')}: {rule.get('lastError')}" for rule in rules if rule.get("health") == "err"]
    if missing := sorted(wanted - loaded):
        said = f"{len(missing)} of {len(wanted)} alerts of {environment} are not loaded: {_some(missing)}"
        return fail(
            "rules",
            said,
            f"`nexus rules gateway --env {environment}` prints them; or sync gitops/{environment}/watching",
        )
    if wrong:
        return fail("rules", f"{len(wrong)} cannot be worked out: {_some(wrong)}", "mend the expression that it names")
    return ok("rules", f"{len(rules)} are loaded, among them every alert of {environment}")


def _told(page: Page) -> Finding:
    if (found := _list(page, "activeAlertmanagers")) is None:
        return _not_understood("alerts", page)
    if not found:
        mend = "name an Alertmanager under `alerting` of its configuration: ops/prometheus/prometheus.yml"
        return warn("alerts", "whatever rings, nobody is told", mend)
    return ok("alerts", f"they go to {', '.join(shown(str(one.get('url'))) for one in found)}")


def alertmanager(pages: Pages, url: str) -> Iterator[Finding]:
    """Its receivers, and whether any of them could not be told."""
    import yaml

    ready = pages.get(url, "/-/ready")
    if ready.status != 200:
        yield fail("Alertmanager", f"{shown(url)}/-/ready: {ready.told}", "start it, or look at NEXUS_ALERTMANAGER")
        return
    config = pages.get(url, "/api/v2/status").get("config")
    try:
        said = yaml.safe_load(str((config or {}).get("original", "")))
    except (AttributeError, yaml.YAMLError):
        said = None
    if not isinstance(said, dict):
        yield fail(
            "Alertmanager", f"{shown(url)} does not say what it is configured to do", "is this Alertmanager's API?"
        )
        return
    receivers = [one for one in said.get("receivers") or [] if isinstance(one, dict)]
    deaf = [str(one.get("name")) for one in receivers if not any(key.endswith("_configs") for key in one)]
    if deaf or not receivers:
        mend = "give each an integration: ops/alertmanager/alertmanager.yml has Slack, mail and a webhook"
        yield warn("Alertmanager", f"receivers that tell nobody: {', '.join(deaf) or 'there are none'}", mend)
    else:
        yield ok("Alertmanager", f"receivers: {', '.join(str(one.get('name')) for one in receivers)}")
    yield _delivered(pages.get(url, "/metrics"))


def _delivered(metrics: Page) -> Finding:
    failed = sorted({name for name, count in _FAILED.findall(metrics.text) if float(count)})
    if failed:
        mend = "its log says why; `ops/alerts/test-alert` says whether it does by now"
        return warn("receivers", f"since it started these could not be told at least once: {', '.join(failed)}", mend)
    return ok("receivers", "none has failed since it started; `ops/alerts/test-alert` tries each")


def grafana(pages: Pages, url: str, datasource: str, headers: Mapping[str, str]) -> Iterator[Finding]:
    health = pages.get(url, "/api/health")
    if health.get("database") != "ok":
        yield fail("Grafana", f"{shown(url)}/api/health: {health.told}", "start it, or look at NEXUS_GRAFANA")
        return
    yield ok("Grafana", f"{shown(url)} answers, version {health.get('version')}")
    asked = pages.get(url, f"/api/datasources/uid/{datasource}/health", headers)
    if asked.status in (401, 403):
        mend = "give NEXUS_GRAFANA_TOKEN, or NEXUS_GRAFANA=http://NAME:PASSWORD@HOST:PORT"
        yield warn("datasource", f"it was not asked: {asked.told}", mend)
    elif asked.status != 200 or asked.get("status") != "OK":
        mend = "provision it: ops/grafana/provisioning/datasources/; PROMETHEUS_URL is where Grafana finds Prometheus"
        yield fail("datasource", f"{datasource}: {asked.told}", mend)
    else:
        yield ok("datasource", f"{datasource}: {asked.get('message')}")


def _list(page: Page, key: str) -> list[Mapping[str, Any]] | None:
    data = page.get("data") if page.status == 200 else None
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, list) else None


def _not_understood(name: str, page: Page) -> Finding:
    return fail(name, page.told, "is this Prometheus's API? Look at NEXUS_PROMETHEUS")


def _some(what: list[str]) -> str:
    more = len(what) - _NAMED
    return "; ".join(what[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
