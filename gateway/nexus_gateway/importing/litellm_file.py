"""LiteLLM's `config.yaml` as a typed tree. What this importer does not know is kept, to be told of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.importing.report import Path, dotted
from nexus_gateway.strict_yaml import parse_yaml

LARGEST = 4 << 20
"""Bytes of one file."""
_MOST_INCLUDES = 64
FROM_ENVIRONMENT = "os.environ/"
"""Begins a value that LiteLLM reads from its environment; it may stand anywhere."""

FromEnvironment = Annotated[str, StringConstraints(pattern=r"^os\.environ/.{1,200}$")]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)] | FromEnvironment
Switch = bool | FromEnvironment


def _or_empty(kind: type[Any]) -> BeforeValidator:
    """`key:` with nothing behind it is null, and means nothing."""
    return BeforeValidator(lambda value: kind() if value is None else value)


T = TypeVar("T")
Many = Annotated[tuple[T, ...], _or_empty(tuple)]
Named = Annotated[dict[str, T], _or_empty(dict)]

_KINDS = ("constrained-float", "constrained-str", "bool")
"""What pydantic puts at the end of a place that may have values of several kinds."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=(), coerce_numbers_to_str=True)


class LitellmParams(_Kept):
    model: str | None = None
    custom_llm_provider: str | None = None
    api_base: str | None = None
    api_key: str | None = None
    litellm_credential_name: str | None = None
    weight: Number | None = None
    rpm: Number | None = None
    tpm: Number | None = None
    order: Number | None = None
    timeout: Number | None = None
    stream_timeout: Number | None = None
    num_retries: Number | None = None
    max_retries: Number | None = None
    max_parallel_requests: Number | None = None
    mock_response: Any = None


class ModelInfo(_Kept):
    id: str | None = None
    mode: str | None = None


class Deployment(_Kept):
    """One engine that answers for a model; several may have one name."""

    model_name: str
    litellm_params: LitellmParams
    model_info: Annotated[ModelInfo, _or_empty(dict)] = ModelInfo()


class _Reliability(_Kept):
    """Of `router_settings` and `litellm_settings`; the first counts."""

    fallbacks: Many[dict[str, Any]] = ()
    default_fallbacks: Many[str] = ()
    num_retries: Number | None = None
    allowed_fails: Number | None = None
    cooldown_time: Number | None = None


class LitellmSettings(_Reliability):
    request_timeout: Number | None = None


class RouterSettings(_Reliability):
    routing_strategy: str | None = None
    model_group_alias: Named[Any] = {}
    timeout: Number | None = None
    stream_timeout: Number | None = None
    default_max_parallel_requests: Number | None = None
    redis_url: str | None = None
    redis_host: str | None = None
    redis_port: str | None = None
    redis_password: str | None = None
    redis_db: str | None = None


class GeneralSettings(_Kept):
    master_key: str | None = None
    max_parallel_requests: Number | None = None
    global_max_parallel_requests: Number | None = None
    background_health_checks: Switch | None = None
    health_check_interval: Number | None = None


class CredentialValues(_Kept):
    api_key: str | None = None
    api_base: str | None = None


class Credential(_Kept):
    credential_name: str
    credential_values: Annotated[CredentialValues, _or_empty(dict)] = CredentialValues()


class LitellmFile(_Kept):
    model_list: Many[Deployment] = ()
    litellm_settings: Annotated[LitellmSettings, _or_empty(dict)] = LitellmSettings()
    router_settings: Annotated[RouterSettings, _or_empty(dict)] = RouterSettings()
    general_settings: Annotated[GeneralSettings, _or_empty(dict)] = GeneralSettings()
    environment_variables: Named[Any] = {}
    credential_list: Many[Credential] = ()

    def of_environment(self, value: str) -> str | None:
        """What the file itself says that a variable is, for a value that names one."""
        found = self.environment_variables.get(value.removeprefix(FROM_ENVIRONMENT))
        return None if found is None else str(found)


@dataclass(frozen=True)
class Read:
    file: LitellmFile
    document: Mapping[str, Any]
    """The same as it was written, with what was included."""
    included: tuple[str, ...]
    overridden: tuple[Path, ...]
    """Keys of the file that an included one has too, which counts then."""


def read(path: File) -> Read:
    """Raises ConfigRefused; no value of the file is in its words."""
    document = _document(path)
    names = document.pop("include", None) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > _MOST_INCLUDES:
        raise ConfigRefused(f"{path}: include: write a list of at most {_MOST_INCLUDES} files")
    overridden: list[Path] = []
    for name in names:
        _merge(document, _document(_beside(path, name)), overridden)
    try:
        return Read(LitellmFile.model_validate(document), document, tuple(names), tuple(overridden))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = tuple(part for part in first["loc"] if part not in _KINDS)
        raise ConfigRefused(f"{path}: {dotted(place)}: {first['msg']}") from None


def _document(path: File) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigRefused(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ConfigRefused(f"{path}: larger than {LARGEST} bytes")
    try:
        found = parse_yaml(str(path), data)
    except ConfigRefused as error:
        raise ConfigRefused(_without_quotation(str(error))) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigRefused(f"{path}: write a mapping, as LiteLLM's config.yaml is one")
    return found


def _without_quotation(said: str) -> str:
    """YAML's own words for a fault quote the line that it is in, which may hold a key."""
    fault, _, rest = said.partition(' in "<')
    line = re.search(r"line \d+", rest)
    return f"{fault} ({line[0]})" if line else fault


def _beside(path: File, name: str) -> File:
    """An included file is in the folder of the one that names it, or below: a file from somewhere else must not make
    this process read others."""
    folder = path.resolve().parent
    found = (folder / name).resolve()
    if not found.is_relative_to(folder):
        raise ConfigRefused(f"{path}: include: {name!r} is not below {folder}: copy it there")
    return found


def _merge(document: dict[str, Any], more: Mapping[str, Any], overridden: list[Path]) -> None:
    """Lists are joined; of sections with the same key the included one counts, as LiteLLM has it."""
    for key, value in more.items():
        ours = document.get(key)
        if isinstance(ours, list) and isinstance(value, list):
            ours.extend(value)
        elif isinstance(ours, dict) and isinstance(value, dict):
            overridden += [(key, inner) for inner in value if inner in ours]
            ours.update(value)
        else:
            document[key] = value
