"""From a figure to the log lines and the commit behind it."""

from __future__ import annotations

from nexus_release.dashboards.board import Link, Scope

DATA_VIEW = "gateway-logs"
"""Id of Kibana's data view, and of its dashboard."""
_TIME = "_g=(time:(from:'${__from:date:iso}',to:'${__to:date:iso}'))"


def kibana_dashboard() -> Link:
    """For the time that is shown."""
    return Link("Log dashboard", f"${{kibana}}/app/dashboards#/view/{DATA_VIEW}?{_TIME}")


def discover(title: str, kql: str) -> Link:
    """The log lines that a KQL chooses, for the time that is shown."""
    query = f"(language:kuery,query:'{kql.replace(' ', '%20')}')"
    source = f"dataSource:(dataViewId:'{DATA_VIEW}',type:dataView)"
    return Link(title, f"${{kibana}}/app/discover#/?{_TIME}&_a=({source},query:{query})")


def release_commit(scope: Scope) -> Link:
    """Of a series with `route` and `release`: a record is never changed, so one commit has touched it."""
    path = "gitops/releases/${__field.labels.route}/${__field.labels.release}.json"
    return Link("Commit of the release", scope.history.format(path=path))


def revision_commits(scope: Scope) -> Link:
    """No commit tells the revision that its files give; `nexus explain REVISION` finds which of these it is."""
    folder = f"gitops/{scope.environment}/gateway/routes.d" if scope.environment else "gitops"
    return Link("Commits of the routes (nexus explain names the one)", scope.history.format(path=folder))


RELEASE_LINES = discover("Log lines of the release", 'release:"${__field.labels.release}"')
ROUTE_LINES = discover("Log lines of the route", 'route:"${__field.labels.route}"')
UPSTREAM_LINES = discover("Log lines of the upstream", 'upstream:"${__field.labels.upstream}"')
