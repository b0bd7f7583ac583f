"""Grafana's provisioning files, by the keys that its documentation has and those alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Duration = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*[smhd]$")]
Uid = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,40}$")]


Matcher = Annotated[tuple[str, Literal["=", "!=", "=~", "!~"], str], Field(strict=False)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class File(Part):
    apiVersion: Literal[1]


class PrometheusOptions(Part):
    httpMethod: Literal["GET", "POST"]
    prometheusType: Literal["Prometheus"]
    timeInterval: Duration
    manageAlerts: bool


class Datasource(Part):
    name: str
    uid: Uid
    orgId: int
    type: Literal["prometheus"]
    access: Literal["proxy"]
    url: str
    isDefault: bool
    editable: bool
    jsonData: PrometheusOptions


class Datasources(File):
    prune: bool
    datasources: list[Datasource]


class Folder(Part):
    path: str
    foldersFromFilesStructure: bool


class Provider(Part):
    name: str
    orgId: int
    folder: str
    folderUid: Uid
    type: Literal["file"]
    disableDeletion: bool
    allowUiUpdates: bool
    updateIntervalSeconds: int = Field(gt=10)
    options: Folder


class Providers(File):
    providers: list[Provider]


class AlertmanagerSettings(Part):
    url: str


class WebhookSettings(Part):
    url: str
    httpMethod: Literal["POST", "PUT"]
    authorization_scheme: Literal["Bearer"]
    authorization_credentials: str


class AlertmanagerReceiver(Part):
    uid: Uid
    type: Literal["prometheus-alertmanager"]
    disableResolveMessage: bool
    settings: AlertmanagerSettings


class WebhookReceiver(Part):
    uid: Uid
    type: Literal["webhook"]
    disableResolveMessage: bool
    settings: WebhookSettings


class ContactPoint(Part):
    orgId: int
    name: str
    receivers: list[Annotated[AlertmanagerReceiver | WebhookReceiver, Field(discriminator="type")]] = Field(
        min_length=1
    )


class ContactPoints(File):
    contactPoints: list[ContactPoint]


class Route(Part):
    receiver: str
    object_matchers: list[Matcher]
    group_wait: Duration
    group_interval: Duration
    repeat_interval: Duration
    continue_: bool = Field(alias="continue")


class Policy(Part):
    orgId: int
    receiver: str
    group_by: list[str]
    group_wait: Duration
    group_interval: Duration
    repeat_interval: Duration
    routes: list[Route]


class Policies(File):
    policies: list[Policy] = Field(min_length=1, max_length=1)


class Rule(Part):
    uid: Uid
    title: str
    condition: str
    data: list[dict[str, Any]]
    """Each as the SDK's `Query` has it."""
    for_: Duration = Field(alias="for")
    noDataState: Literal["Alerting", "NoData", "OK"]
    execErrState: Literal["Alerting", "Error", "OK"]
    labels: dict[str, str]
    annotations: dict[str, str]
    isPaused: bool


class Group(Part):
    orgId: int
    name: str
    folder: str
    interval: Duration
    rules: list[Rule]


class Groups(File):
    groups: list[Group]


FILES: dict[str, type[File]] = {
    "datasources/datasource.yml": Datasources,
    "dashboards/dashboards.yml": Providers,
    "alerting/contact-points.yml": ContactPoints,
    "alerting/notification-policies.yml": Policies,
    "alerting/alert-rules.yml": Groups,
}
"""Under ops/grafana/provisioning."""
