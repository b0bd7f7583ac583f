"""A deployment of LiteLLM's `model_list` becomes an upstream: where it is, what it calls the model, whose token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from nexus_gateway.config_errors import ConfigRefused, first_error
from nexus_gateway.importing.litellm_file import FROM_ENVIRONMENT, CredentialValues, Deployment, LitellmFile
from nexus_gateway.importing.report import Ledger, Path
from nexus_gateway.importing.values import number, plain
from nexus_gateway.routes import compile_file
from nexus_gateway.routes_file import RoutesFile

OPENAI_WIRE = frozenset({
    *("hosted_vllm", "vllm", "openai", "text-completion-openai", "custom_openai", "openai_like"),
    *("litellm_proxy", "lm_studio", "llamafile"),
})  # fmt: skip
"""LiteLLM's providers that are asked by OpenAI's own API, so that the gateway asks them itself."""
_COMPLETIONS_ONLY = "text-completion-openai"
_APIS = {"chat": None, "responses": None, "completion": ["completions"], "embedding": ["embeddings"],
         "rerank": ["rerank"]}  # fmt: skip
"""`model_info.mode` -> what the upstream speaks; None is all."""
_KNOWN_NAMES = (("openai", r"(?:gpt-|chatgpt-|o\d|text-embedding-)"), ("anthropic", r"claude-"), ("gemini", r"gemini-"))
"""Names without a provider, for which LiteLLM knows one."""
_PLACEHOLDERS = frozenset({"", "none", "null", "empty", "dummy", "not-needed"})
"""What people write as `api_key` for an engine that wants none, since OpenAI's library wants something."""
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")


SHARES = ("weight", "rpm", "tpm")
"""By which LiteLLM's `simple-shuffle` shares calls among deployments, the first that is given."""


@dataclass(frozen=True)
class Engine:
    """One upstream to be."""

    path: Path
    name: str
    file: Mapping[str, Any]
    """As in a route file."""
    order: float
    """Who is asked first: the smallest."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """By what of SHARES is given."""
    timeout: float | None = None
    stream_timeout: float | None = None
    retries: float | None = None


@dataclass(frozen=True)
class Everywhere:
    """What the file's settings say for all engines."""

    max_parallel: float | None
    health_seconds: float | None
    """Between two active checks; None where there are none."""


class _LeftOut(Exception):
    """(what LiteLLM does, what to do here)."""


def engine_of(
    file: LitellmFile, everywhere: Everywhere, ledger: Ledger, path: Path, deployment: Deployment, name: str
) -> Engine | None:
    """None where the gateway cannot ask it; the ledger says why."""
    trial = Ledger()
    try:
        document = _upstream(file, everywhere, trial, path, deployment, name)
        _check(name, document)
    except _LeftOut as reason:
        ledger.tell("left out", path, *reason.args)
        return None
    ledger.absorb(trial)
    params, at = deployment.litellm_params, (*path, "litellm_params")

    def of(key: str, to: str) -> float | None:
        return number(file, ledger, (*at, key), getattr(params, key), to)

    shares = {key: plain(file, getattr(params, key)) for key in SHARES}
    order = of("order", "the order of the route's fallbacks")
    retries = of("num_retries", "tries of the route")
    return Engine(
        path=path,
        name=name,
        file=document,
        order=float("inf") if order is None else order,
        shares={key: value for key, value in shares.items() if value is not None},
        timeout=of("timeout", "timeouts of the route"),
        stream_timeout=of("stream_timeout", "timeouts of the route"),
        retries=retries if retries is not None else of("max_retries", "tries of the route"),
    )


def fits(name: str) -> bool:
    """True where it may be the name of a route or an upstream."""
    return _NAME.fullmatch(name) is not None


def _upstream(
    file: LitellmFile, everywhere: Everywhere, ledger: Ledger, path: Path, deployment: Deployment, name: str
) -> dict[str, Any]:
    params, at, mode = deployment.litellm_params, (*path, "litellm_params"), deployment.model_info.mode
    if params.mock_response is not None:
        raise _LeftOut("answers with a fixed text, and asks nobody", "an upstream with `url: mock://local` answers so")
    if mode is not None and mode not in _APIS:
        raise _LeftOut("serves images, sound or other media", "the gateway has no such API: ask this provider directly")
    given = _credential(file, ledger, path, deployment)
    provider, model = _provider(params.custom_llm_provider, params.model, based=given.api_base is not None)
    ledger.take((*at, "model"), f"upstreams.{name}")
    ledger.take((*at, "custom_llm_provider"), f"upstreams.{name}")
    base = _base(file, ledger, path, given.api_base)
    document: dict[str, Any] = {}
    if provider in OPENAI_WIRE and base is not None:
        document["url"] = _engine_url(ledger, path, base)
        if model != "*":
            document["model"] = model
    elif "*" in model:
        raise _LeftOut("asks the provider for whatever name the client wrote", "write a route for each of its models")
    elif provider in OPENAI_WIRE - {"openai"}:
        raise _LeftOut("finds the engine's address in its environment", "write api_base, and import again")
    else:
        document["url"] = f"litellm://{provider}/{model}"
        here = "asked by the same library, as an extra: pip install 'nexus-platform[litellm]'"
        ledger.tell("differs", path, "asks the hosted provider", here)
        if base is not None:
            document["api_base"] = base
    own_key = "api_key" if params.api_key else "litellm_credential_name"
    _token(ledger, (*at, own_key), given.api_key, provider, name, document)
    _calls(file, everywhere, ledger, path, deployment, document)
    apis = ["completions"] if provider == _COMPLETIONS_ONLY else _APIS[mode] if mode else None
    ledger.take((*path, "model_info", "mode"), f"upstreams.{name}.apis")
    if apis:
        document["apis"] = apis
    if provider == _COMPLETIONS_ONLY:
        ledger.tell(
            "differs",
            (*at, "model"),
            "answers chats too, by making one prompt of the messages",
            "the upstream speaks /v1/completions alone",
        )
    return document


def _credential(file: LitellmFile, ledger: Ledger, path: Path, deployment: Deployment) -> CredentialValues:
    """The deployment's own, and what it does not say from the entry of `credential_list` that it names."""
    params = deployment.litellm_params
    named = params.litellm_credential_name
    shared, found = CredentialValues(), False
    for place, one in enumerate(file.credential_list):
        if one.credential_name == named:
            shared, found = one.credential_values, True
            for key in (("credential_name",), ("credential_values", "api_key"), ("credential_values", "api_base")):
                ledger.take(("credential_list", place, *key), "the upstreams that name it")
    if named is not None and not found:
        raise _LeftOut("takes credentials from its database", "write api_key and api_base, and import again")
    ledger.take((*path, "litellm_params", "litellm_credential_name"), "the upstream's credential_env")
    return CredentialValues(api_key=params.api_key or shared.api_key, api_base=params.api_base or shared.api_base)


def _provider(custom: str | None, model: str | None, *, based: bool) -> tuple[str, str]:
    """LiteLLM's provider, and the name that it knows the model by."""
    if not model:
        raise _LeftOut("has no model to ask for", "write litellm_params.model")
    if custom:
        return custom, model.removeprefix(f"{custom}/")
    provider, found, rest = model.partition("/")
    if found and rest:
        return provider, rest
    for known, pattern in _KNOWN_NAMES:
        if re.match(pattern, model):
            return known, model
    if based:
        return "openai", model
    raise _LeftOut("finds the provider by the model's name", "write provider/model, and import again")


def _base(file: LitellmFile, ledger: Ledger, path: Path, base: str | None) -> str | None:
    if base is None:
        return None
    if base.startswith(FROM_ENVIRONMENT):
        found = file.of_environment(base)
        if found is None:
            raise _LeftOut("reads the address from its environment", "write the address as api_base, and import again")
        ledger.take(("environment_variables", base.removeprefix(FROM_ENVIRONMENT)), "the upstreams' url")
        base = found
    if not _plain(base):
        raise _LeftOut("takes the address as it is", "write http://host:port/path, without credentials or a query")
    ledger.take((*path, "litellm_params", "api_base"), "the upstream's url")
    return base


def _plain(base: str) -> bool:
    try:
        parts = urlsplit(base)
    except ValueError:
        return False
    more = parts.username or parts.password or parts.query or parts.fragment or re.search(r"[\s\\]", base)
    return parts.scheme in ("http", "https") and not more


def _engine_url(ledger: Ledger, path: Path, base: str) -> str:
    """The gateway adds `/v1/…` itself."""
    url = base.rstrip("/")
    if url.endswith("/v1"):
        return url.removesuffix("/v1")
    ledger.tell(
        "differs",
        (*path, "litellm_params", "api_base"),
        "asks <api_base>/chat/completions",
        "asks <url>/v1/chat/completions: see that the engine answers there",
    )
    return url


def _token(ledger: Ledger, at: Path, key: str | None, provider: str, name: str, document: dict[str, Any]) -> None:
    """A key of the file is never written anywhere: the variable that is to hold it is named."""
    hosted = document["url"].startswith("litellm://")
    if key is None and not hosted:
        return
    if key is not None and key.lower() in _PLACEHOLDERS and not hosted:
        ledger.take(at, "no credential: it is a placeholder")
        return
    own = re.sub(r"[^A-Z0-9]+", "_", f"{provider if key is None else name}_api_key".upper())[-128:].lstrip(
        "_0123456789"
    )
    variable = own
    if key is not None and key.startswith(FROM_ENVIRONMENT):
        said = key.removeprefix(FROM_ENVIRONMENT)
        variable = said if _VARIABLE.fullmatch(said) else own
        ledger.take(("environment_variables", said), f"the variable {variable}, which is yours to set")
    elif key is not None:
        ledger.tell(
            "differs",
            at,
            "has the key itself in the file",
            f"set {variable}: no key is in route files, and none was written",
        )
    document["credential_env"] = variable
    ledger.take(at, f"upstreams.{name}.credential_env")
    ledger.needs(variable, None, f"the token of upstream {name}")


def _calls(
    file: LitellmFile, everywhere: Everywhere, ledger: Ledger, path: Path, deployment: Deployment,
    document: dict[str, Any],
) -> None:  # fmt: skip
    at, own = (*path, "litellm_params", "max_parallel_requests"), deployment.litellm_params.max_parallel_requests
    parallel = number(file, ledger, at, own, "the upstream's max_parallel")
    if most := parallel if parallel is not None else everywhere.max_parallel:
        document["max_parallel"] = max(1, int(most))
    if everywhere.health_seconds and str(deployment.litellm_params.model).startswith("hosted_vllm/"):
        document["health"] = {"path": "/health", "interval_seconds": everywhere.health_seconds}


def _check(name: str, document: Mapping[str, Any]) -> None:
    """Raises _LeftOut with the gateway's own reason, for what it would not load."""
    try:
        compile_file("", RoutesFile.model_validate({"upstreams": {name: document}}), 10.0, None)
    except ValidationError as error:
        reason = first_error(error)
    except ConfigRefused as error:
        reason = str(error).removeprefix(": ")
    else:
        return
    raise _LeftOut("speaks with this provider", f"the gateway does not take it: {reason}")
