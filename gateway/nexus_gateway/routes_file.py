"""The schema of route files; `nexus-gateway schema` prints it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from nexus_gateway.masking.patterns import Kind
from nexus_gateway.prefix_routing.parameters_file import PrefixFile
from nexus_gateway.surfaces import Api

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
EVERY_SUBJECT = "*"
Subject = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")]
Entity = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,16}(_[A-Z]{1,16}){0,5}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
_SERVICE = re.compile(r"(https?|grpcs?)://[a-z0-9]([a-z0-9.-]*[a-z0-9])?:[0-9]{1,5}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class HealthFile(_Strict):
    """An active check of each endpoint: GET of a path, that must answer 200."""

    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{0,127}$")] = "/health"
    interval_seconds: Seconds = 5.0
    timeout_seconds: Seconds = 2.0


class TlsFile(_Strict):
    """Files of this process's machine; a certificate is shown to this upstream only."""

    ca: str | None = None
    """PEM of who may have signed the engine's certificate; the system's authorities where it is not given."""
    certificate: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _pair(self) -> TlsFile:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class UpstreamFile(_Strict):
    """Where an engine is."""

    url: str | None = None
    """`http://host[:port][/path]`, `https://…`, or `mock://…`; requests go to `<url>/v1/…`. Or `grpc://host:port` and
    `grpcs://…`: an engine that speaks our gRPC contract. Or `litellm://provider/model`: a hosted provider, by its own
    API."""
    api_base: str | None = None
    """Of `litellm://`: where the provider is asked instead of at its known address."""
    endpoints: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] | None = None
    """Several of the same, instead of `url`."""
    service: str | None = None
    """`http://name:port` of a headless Service, instead of `url`: each address that its name leads to is an endpoint,
    and the name is asked again every few seconds."""
    choice: PrefixFile | None = None
    """Who of several endpoints is asked; where it is not given, the one with the fewest calls under way."""
    release: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Release id that the engine serves; answered as `x-nexus-release`."""
    model: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")] | None = None
    """What the engine calls the model; the route's name where it is not given."""
    apis: Annotated[tuple[Api, ...], Field(min_length=1)] | None = None
    """What the engine speaks: chat, completions, embeddings, responses, messages, rerank; all where it is not given,
    and its own 404 then says what it does not. `messages` is made of `chat` for one that speaks that alone."""
    max_parallel: Count | None = None
    """Calls at once; more wait, by priority and then in fair shares between callers."""
    queue_seconds: Seconds = 5.0
    """How long they wait before 503."""
    prefix_cache: Literal["tenant", "shared"] = "shared"
    """Whose prompts it may find in its cache again. `tenant`: each tenant its own; the engine is told by `cache_salt`,
    which vLLM heeds. `shared`: everybody's, so that one tenant can find out what another has asked."""
    health: HealthFile | None = None
    credential_env: Variable | None = None
    """Variable of this process that holds the bearer token for this upstream."""
    tls: TlsFile = TlsFile()

    @model_validator(mode="after")
    def _one_place(self) -> UpstreamFile:
        if sum(said is not None for said in (self.url, self.endpoints, self.service)) != 1:
            raise ValueError("give either url or endpoints or service")
        if self.service is not None and not _SERVICE.fullmatch(self.service):
            raise ValueError(f"service: {self.service!r}: write http://name:port, or with https, grpc or grpcs")
        return self

    @model_validator(mode="after")
    def _several(self) -> UpstreamFile:
        if self.choice is not None:
            if self.url is not None:
                raise ValueError("choice is between endpoints, or those of a service; one url leaves none")
            if not all(url.startswith(("http://", "https://")) for url in self.urls):
                raise ValueError("choice asks engines for their load by GET /metrics: http:// and https:// alone")
        return self

    @model_validator(mode="after")
    def _salts(self) -> UpstreamFile:
        if self.prefix_cache == "tenant":
            if not all(url.startswith(("http://", "https://")) for url in self.urls):
                raise ValueError("prefix_cache: tenant is for http:// and https://; others take no cache_salt")
            if self.apis and "messages" in self.apis and "chat" not in self.apis:
                raise ValueError("prefix_cache: tenant makes messages of chat, which apis does not name")
        return self

    @property
    def urls(self) -> tuple[str, ...]:
        """As they are written; of a service the one of its name."""
        return self.endpoints or tuple(filter(None, (self.url, self.service)))


class TimeoutsFile(_Strict):
    """Seconds."""

    first_byte_seconds: Seconds | None = None
    chunk_seconds: Seconds | None = None
    total_seconds: Seconds | None = None


class MatchFile(_Strict):
    """Requests with this header go to that upstream, before any split."""

    header: HeaderName
    value: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    upstream: Name


class MaskingFile(_Strict):
    """What names a person or opens a door does not reach an engine, or does not leave it. Of several that concern a
    request (its route, the caller's policy, the rule of its copy) each is heeded."""

    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    """What is looked for; all kinds where it is not given."""
    recognizers: tuple[Entity, ...] = ()
    """Besides these kinds: entities such as `US_SSN` that presidio-analyzer knows by their form; the extra
    `presidio`."""
    requests: bool = True
    """In what engines are told: each value becomes `<EMAIL_1>`, the same one the same throughout."""
    answers: bool = False
    """In what engines say."""
    restore: bool = True
    """The client's own values come back into its answer, where the engine says their placeholders."""

    @model_validator(mode="after")
    def _masks(self) -> MaskingFile:
        if not (self.requests or self.answers):
            raise ValueError("requests and answers are both false, which masks nothing: leave masking out")
        return self


class ShadowMatchFile(_Strict):
    """Only requests with this header."""

    header: HeaderName
    value: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ShadowFile(_Strict):
    """A copy of some requests to an engine that is tried out. Nobody gets its answers; `nexus-gateway shadow-report`
    compares them."""

    upstream: Name
    percent: Percent = 100.0
    """Of the requests."""
    match: ShadowMatchFile | None = None
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    """Copies at once, in each gateway process; more are dropped."""
    masking: MaskingFile | None = None
    """Of copies, besides what is masked in every request of the route."""


class TelemetryFile(_Strict):
    """Which requests have a line in the log. Metrics and the audit log have every request."""

    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the requests that is logged; errors, answers by a fallback and slow requests always are."""
    slow_seconds: Seconds = 10.0
    """From so many on a request is slow."""


class _RouteFile(_Strict):
    rollout: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")] = "0"
    """Salt of the split."""
    timeouts: TimeoutsFile = TimeoutsFile()
    match: tuple[MatchFile, ...] = ()
    fallbacks: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    """Models that answer where this one cannot, in this order."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    """Calls of engines for one request, fallbacks included."""
    shadow: ShadowFile | None = None
    masking: MaskingFile | None = None
    """Of every request that this route's engines are asked, also where it answers for another route."""
    telemetry: TelemetryFile | None = None
    """Of requests for this model; all are logged where neither it nor the caller's policy says."""


class DirectFile(_RouteFile):
    strategy: Literal["direct"]
    upstream: Name


class TargetFile(_Strict):
    upstream: Name
    weight: Percent


class WeightedFile(_RouteFile):
    strategy: Literal["weighted"]
    targets: Annotated[tuple[TargetFile, ...], Field(min_length=1)]
    """Weights add up to 100."""


class CanaryFile(_RouteFile):
    strategy: Literal["canary"]
    primary: Name
    canary: Name
    percent: Percent
    """Of the traffic, to the canary."""


RouteFile = Annotated[DirectFile | WeightedFile | CanaryFile, Field(discriminator="strategy")]


class PolicyFile(_Strict):
    """What the caller with a key id may do. What is not given is not limited."""

    models: tuple[Name, ...] | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    cached_tokens_percent: Percent = 100.0
    """Of a prompt token that the engine had kept from before, how much counts in `tokens_per_minute`."""
    max_parallel: Count | None = None
    """Requests at once, in each gateway process."""
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    """Who waits for an upstream goes in by priority, larger first; with the same priority in fair shares."""
    max_tokens: Count | None = None
    """The most that a request may ask for; one that does not say gets this."""
    passthrough: tuple[str, ...] | None = None
    """Fields of the body besides the API's own; where this is given, any other is refused."""
    masking: MaskingFile | None = None
    """Of all that this caller asks, whatever the route."""
    telemetry: TelemetryFile | None = None
    """Of this caller's requests, instead of what the route says."""


def _closed(schema: dict[str, Any]) -> None:
    """JSON Schema takes a key that fits no pattern for one that may hold anything."""
    for section in schema["properties"].values():
        if "patternProperties" in section:
            section["additionalProperties"] = False


class RoutesFile(_Strict):
    """One file of routes; a folder holds one for each model."""

    model_config = ConfigDict(json_schema_extra=_closed)

    upstreams: dict[Name, UpstreamFile] = Field(default_factory=dict)
    routes: dict[Name, RouteFile] = Field(default_factory=dict)
    policies: dict[KeyId, PolicyFile] = Field(default_factory=dict)
    """By the tenant of a key, which is its id where the key file does not name one."""
    subjects: dict[Subject, PolicyFile] = Field(default_factory=dict)
    """By the `sub` of a signed token; `*` is everybody else. A token that names no models may use those of its policy,
    and without a policy none."""
    default: Name | None = None
    """The upstream that answers for models without a route. One file may name it."""
