"""Uploads the pipeline to a server, once: a version is named by its content."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
from urllib3.exceptions import HTTPError

from nexus_kfp.compiled import version_name
from nexus_kfp.pipeline import NAME
from nexus_release.errors import BadInput, NexusError, Unreachable

_SECONDS = 60  # for one answer
_TAKEN = 409


@dataclass(frozen=True)
class Server:
    host: str
    token: str
    """Bearer; empty where the server asks for none."""
    namespace: str
    """Of a server with several users; empty where it has one."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Server:
        """Raises BadInput where KFP_HOST is not set."""
        host = environ.get("KFP_HOST", "")
        if not host.startswith(("http://", "https://")):
            raise BadInput("KFP_HOST", host, "give the server's address: https://kfp.example.com")
        return cls(host.rstrip("/"), environ.get("KFP_TOKEN", ""), environ.get("KFP_NAMESPACE", ""))


@dataclass(frozen=True)
class Uploaded:
    pipeline: str
    """Id of the pipeline, which is what a run names."""
    version: str
    """Id of the version."""
    name: str
    new: bool


def upload(intermediate: str, server: Server) -> Uploaded:
    """Raises Unreachable where the server does not answer, and NexusError for what it refuses."""
    try:
        with kfp_server_api.ApiClient(_configuration(server)) as client:
            return _uploaded(intermediate, client, server.namespace)
    except kfp_server_api.ApiException as error:
        raise NexusError(f"{server.host}: {error.status} {error.body or error.reason}") from None
    except HTTPError as error:
        raise Unreachable(f"{server.host}: {error}") from None


def _uploaded(intermediate: str, client: Any, namespace: str) -> Uploaded:
    pipelines, name = kfp_server_api.PipelineServiceApi(client), version_name(intermediate)
    pipeline = _pipeline(pipelines, namespace) or _created(pipelines, namespace)
    if found := _version(pipelines, pipeline, name):
        return Uploaded(pipeline, found, name, new=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.yaml"
        path.write_text(intermediate, encoding="utf-8")
        try:
            made = kfp_server_api.PipelineUploadServiceApi(client).upload_pipeline_version(
                str(path), name=name, pipelineid=pipeline, _request_timeout=_SECONDS
            )
        except kfp_server_api.ApiException as error:
            if error.status == _TAKEN and (found := _version(pipelines, pipeline, name)):
                return Uploaded(pipeline, found, name, new=False)  # by somebody else, this moment
            raise
    return Uploaded(pipeline, made.pipeline_version_id, name, new=True)


def _pipeline(pipelines: Any, namespace: str) -> str | None:
    found = pipelines.pipeline_service_list_pipelines(
        namespace=namespace, filter=_named(NAME), _request_timeout=_SECONDS
    )
    return found.pipelines[0].pipeline_id if found.pipelines else None


def _created(pipelines: Any, namespace: str) -> str:
    asked = kfp_server_api.V2beta1Pipeline(name=NAME, display_name=NAME, namespace=namespace)
    try:
        return str(pipelines.pipeline_service_create_pipeline(asked, _request_timeout=_SECONDS).pipeline_id)
    except kfp_server_api.ApiException as error:
        if error.status == _TAKEN and (found := _pipeline(pipelines, namespace)):
            return found
        raise


def _version(pipelines: Any, pipeline: str, name: str) -> str | None:
    found = pipelines.pipeline_service_list_pipeline_versions(pipeline, filter=_named(name), _request_timeout=_SECONDS)
    return found.pipeline_versions[0].pipeline_version_id if found.pipeline_versions else None


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def _configuration(server: Server) -> Any:
    configuration = kfp_server_api.Configuration(host=server.host)
    configuration.retries = False  # nothing is done twice behind our back; whoever calls may call again
    if server.token:
        configuration.api_key = {"authorization": server.token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    return configuration
