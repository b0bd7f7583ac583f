"""What an environment says of its gateway: how many pods, who reaches them, and by which name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from nexus_release.frozen import Section
from nexus_release.kubernetes_values import Cidr, Cpu, Domain, Image, Label, LabelValue, Memory, QualifiedName
from nexus_release.pod_settings import Peer

Variable = Annotated[str, StringConstraints(pattern=r"^(GATEWAY|OTEL)_[A-Z0-9_]+$")]
"""Of docs/reference/settings.md."""
SecretVariable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
_OURS = frozenset({"GATEWAY_DRAIN_SECONDS", "GATEWAY_GRACE_SECONDS", "GATEWAY_REDIS_URL", "GATEWAY_API_KEYS"})
_READY_SECONDS = 10  # two looks of the readiness probe


class Amounts(Section):
    """Of one pod."""

    cpu: Cpu
    """Cores: `4`, or millicores: `500m`."""
    memory: Memory
    """With its unit: `512Mi`, `16Gi`."""


class PodResources(Section):
    """What one pod is sure of, and what it may take."""

    requests: Amounts
    """What the scheduler keeps free for it."""
    limits: Amounts
    """Above its memory it is killed, above its CPU it is slowed down."""


class GatewayReplicas(Section):
    """Pods of the gateway. Where both are equal nothing scales."""

    minimum: int = Field(ge=1)
    """Pods that always run; with one, an update or a lost node is an outage."""
    maximum: int = Field(ge=1)
    """Pods at most."""
    cpu_percent: int = Field(ge=1, le=100)
    """Of the requested CPU, above which a pod is added."""

    @model_validator(mode="after")
    def _ordered(self) -> GatewayReplicas:
        if self.maximum < self.minimum:
            raise ValueError(f"maximum {self.maximum} is below minimum {self.minimum}")
        return self


class Caller(Section):
    """Pods that may open a connection to the gateway."""

    namespace: Label
    """Theirs."""
    pods: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    """Their labels; none is all pods of the namespace."""


class IngressController(Section):
    """Read where `expose` is `ingress`."""

    class_name: Label
    """IngressClass."""
    namespace: Label
    """Of the controller's pods, which alone may then reach the gateway from outside."""
    annotations: dict[QualifiedName, str]
    """What the controller must be told; streams want no buffering, and time."""


class ParentGateway(Section):
    """Read where `expose` is `gateway-api`."""

    name: Label
    """Of the Gateway object."""
    namespace: Label
    """Of the Gateway object."""
    section: Label | None
    """Its listener; null is every listener that takes the host."""
    proxies: Label
    """Namespace of the pods that carry its traffic, which alone may then reach the gateway from outside."""


class LoadBalancer(Section):
    """Read where `expose` is `load-balancer`."""

    sources: tuple[Cidr, ...] = Field(min_length=1)
    """Addresses that may ask, at the load balancer and at the pod. A balancer that gives its own address instead of the
    client's, and the nodes', must be among them."""
    annotations: dict[QualifiedName, str]
    """What the cloud's controller, or MetalLB, must be told."""


class SecretStore(Section):
    """A store of the External Secrets Operator, from which Secrets are made in the cluster."""

    kind: Literal["ClusterSecretStore", "SecretStore"]
    """Whether it is one for all namespaces."""
    name: Label
    """Of the store."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9/_.-]*/$")]
    """Of the key there: `nexus/prod/` and the Secret's name."""
    refresh: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*h0m0s$")]
    """How often it is read: `1h0m0s`."""


class SecretKey(Section):
    """One key of a Secret."""

    secret: Label
    """Its name."""
    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")]
    """In it."""


class GatewaySecrets(Section):
    """Names of Secrets, never their values."""

    keys: Label
    """With the key `keys.yaml`, the key file (`nexus-gateway keys new`); it is taken without a restart."""
    probe: Label
    """With the key `NEXUS_GATEWAY_KEY`, a key of the scope `admin`: what Jobs of ours ask the gateway with."""
    store: SecretStore | None
    """Where these, and Redis's, are made from by External Secrets; null: somebody makes the Secrets otherwise."""


class Watching(Section):
    """Who measures the gateway."""

    operator: bool
    """Whether the cluster has prometheus-operator: its ServiceMonitor and PrometheusRule are then rendered."""
    namespace: Label
    """Of Prometheus's pods, which may scrape, and of Grafana's, which reads dashboards."""
    labels: dict[QualifiedName, LabelValue]
    """By which that Prometheus picks what it heeds."""
    key: SecretKey | None
    """A key of the scope `admin`, which Prometheus scrapes with: figures of tenants, which costs are split by, are told
    to such a key alone. null: to everybody who reaches the gateway (`GATEWAY_METRICS_TENANTS`), or to nobody."""
    dashboard_label: QualifiedName
    """By which Grafana's sidecar picks ConfigMaps with dashboards."""


class GatewaySettings(Section):
    """The gateway in a cluster. A laptop reads none of it."""

    image: Image | None
    """By digest. null until somebody has built it: its pods are then not rendered, all else is."""
    expose: Literal["ingress", "gateway-api", "load-balancer", "none"]
    """How clients outside of the cluster reach it."""
    host: Domain
    """The name that they ask for; with a load balancer it is whatever DNS says."""
    tls_secret: Label | None
    """Of the Ingress: Secret with the certificate for `host`. null: TLS ends before the cluster, or nowhere."""
    ingress: IngressController
    """The controller that answers for `host`."""
    gateway_api: ParentGateway
    """The Gateway that answers for `host`; its certificate is its own matter."""
    load_balancer: LoadBalancer
    """What stands before the pods where neither is there."""
    replicas: GatewayReplicas
    """How many pods."""
    resources: PodResources
    """Of each pod. One process uses one core."""
    drain_seconds: int = Field(ge=_READY_SECONDS)
    """From SIGTERM on requests are still taken so long, until everybody has heard that the pod goes."""
    grace_seconds: int = Field(ge=1)
    """For answers under way after that. Below `timeouts.total_seconds` an update may cut long answers off."""
    variables: dict[Variable, str]
    """More of the gateway's variables (docs/reference/settings.md), none that is secret."""
    secret_variables: dict[SecretVariable, SecretKey]
    """Variables that are: a provider's key that a route names as `credential_env`, `GATEWAY_JWT_SECRET`."""
    secrets: GatewaySecrets
    """Where its keys come from."""
    callers: tuple[Caller, ...]
    """Pods of other namespaces that may ask."""
    egress: tuple[Peer, ...]
    """Whom it may ask besides engines and Redis: hosted providers, an issuer of tokens, a collector of spans."""
    watching: Watching
    """Metrics, alerts and a dashboard."""

    @property
    def scales(self) -> bool:
        return self.replicas.maximum > self.replicas.minimum

    @model_validator(mode="after")
    def _said_once(self) -> GatewaySettings:
        if twice := sorted(
            (_OURS & {*self.variables, *self.secret_variables}) | {*self.variables} & {*self.secret_variables}
        ):
            raise ValueError(f"{twice[0]} is given by the renderer, or twice: take it away")
        return self
