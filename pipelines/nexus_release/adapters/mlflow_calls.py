"""MLflow's client as Nexus sets it up, and what its errors mean in our own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from nexus_release.errors import Missing, NexusError, RegistryRefused, Unreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CLIENT_SETTINGS: Mapping[str, str] = {
    # Three tries with 0, 2 and 4 s between them: a dead server is known in seconds, a restart is bridged.
    # A step has retries of its own above these.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",  # seconds; the SQLite store answers within one
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Set where the user has not set them, before MLflow reads them."""

_PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_RACES = 8  # lost by one writer, each to another who got further
_UNKNOWN_CALLER = {"CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED"}

T = TypeVar("T")


def open_client(uri: str) -> MlflowClient:
    for key, value in _CLIENT_SETTINGS.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def or_none(ask: Callable[[], T]) -> T | None:
    """None for what is not there."""
    return _tolerate("RESOURCE_DOES_NOT_EXIST", ask)


def unless_there(make: Callable[[], object]) -> None:
    """Another process may make the same thing at the same time; both mean one thing."""
    _tolerate("RESOURCE_ALREADY_EXISTS", make)


def again_where_raced(write: Callable[[], T]) -> T:
    """`write` is safe to repeat. MLflow looks and then inserts, so that of two who write the same thing at once one may
    hear of a broken UNIQUE constraint; by then the other's is there."""
    from mlflow.exceptions import MlflowException

    for _ in range(_RACES - 1):
        try:
            return write()
        except MlflowException as error:
            if error.error_code != "BAD_REQUEST" or "unique constraint" not in str(error).lower():
                raise
    return write()


@contextmanager
def asking(uri: str, what: str) -> Iterator[None]:
    """Says in our own errors what went wrong. Closed: nothing is registered by halves, a later call goes on."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except MlflowException as error:
        raise _ours(error.error_code, f"{what} at {uri}", _first_line(error)) from error
    except RequestException as error:
        status = getattr(error.response, "status_code", 503)
        code = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(status, "INTERNAL_ERROR" if status >= 500 else "")
        raise _ours(code, f"{what} at {uri}", _first_line(error)) from error


def _ours(code: str, what: str, said: str) -> NexusError:
    if code in _UNKNOWN_CALLER:
        return RegistryRefused(f"{what}: MLflow does not know who asks: {_credential_mend()}")
    if code == "PERMISSION_DENIED":
        user = os.environ.get("MLFLOW_TRACKING_USERNAME") or "who asks"
        return RegistryRefused(
            f"{what}: MLflow does not let {user} do this: give that user EDIT on the experiment and MANAGE on the "
            "registered model, or name another in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    kind = Missing if code == "RESOURCE_DOES_NOT_EXIST" else Unreachable if code in _PASSING else NexusError
    return kind(f"{what}: {said}")


def _credential_mend() -> str:
    """By what is set; never what it is set to."""
    if os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return "MLFLOW_TRACKING_TOKEN is refused; give one that is valid now"
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        return f"MLFLOW_TRACKING_PASSWORD is not the password of {user} (MLFLOW_TRACKING_USERNAME); set the right one"
    return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


def _tolerate(code: str, call: Callable[[], T]) -> T | None:
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        if error.error_code != code:
            raise
        return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
