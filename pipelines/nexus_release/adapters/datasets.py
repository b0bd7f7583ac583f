"""Datasets by URI: paths and `file://`, `http(s)://`, and object stores by fsspec."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_release.errors import BadInput, Missing, MissingExtra, NexusError, Unreachable

LARGEST = 1 << 30
"""Bytes; a larger dataset wants to be sharded before one process reads it."""

_TRIES = 3
_PAUSE_SECONDS = 1.0  # doubled after each try
_REMOTE = ("s3", "gs", "http", "https")
_MAY_PASS = (408, 425, 429)  # HTTP: too slow, too early, too often
_TIMEOUT_SECONDS = 30.0  # without a byte


class UriDatasets:
    """The port `Datasets`."""

    def read(self, uri: str) -> bytes:
        """Raises also BadInput for more than LARGEST bytes, and NexusError where access is denied."""
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            if parts.scheme and parts.netloc not in ("", "localhost"):
                raise BadInput("dataset", uri, "write file:///absolute/path; a file:// URI names no other host")
            return _read_file(uri, Path(unquote(parts.path) if parts.scheme else uri))
        if parts.scheme not in _REMOTE:
            raise BadInput("dataset", uri, f"give a path, file:// or one of {', '.join(f'{s}://' for s in _REMOTE)}")
        if "@" in parts.netloc:
            raise BadInput(
                "dataset",
                f"{parts.scheme}://***@{parts.netloc.rpartition('@')[2]}{parts.path}",
                "keep credentials out of addresses, which end up in records; put them into the environment",
            )
        return _read_remote(uri)


def _read_file(uri: str, path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInput("dataset", uri, "name one plain file of JSON lines, no folder and no pipe")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"dataset {uri}: no such file") from None
    except OSError as error:
        raise NexusError(f"dataset {uri}: {error.strerror}") from None
    return _bounded(uri, data)


def _read_remote(uri: str) -> bytes:
    """What may pass is tried again; a no of the server is not."""
    fetch = _fetch_http if urlsplit(uri).scheme in ("http", "https") else _fetch_object
    for attempt in range(_TRIES):
        try:
            return _bounded(_shown(uri), fetch(uri))
        except Unreachable as error:
            if attempt == _TRIES - 1:
                raise Unreachable(f"{error} ({_TRIES} tries)") from error
            time.sleep(_PAUSE_SECONDS * 2**attempt)
    raise AssertionError("the last try returns or raises")


def _fetch_http(uri: str) -> bytes:
    import httpx

    data = bytearray()
    try:
        with httpx.stream("GET", uri, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response:
            _refuse_status(uri, response.status_code)
            for piece in response.iter_bytes():
                data += piece
                if len(data) > LARGEST:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"dataset {_shown(uri)}: {type(error).__name__}: {error}") from None
    return bytes(data)


def _refuse_status(uri: str, status: int) -> None:
    told = f"dataset {_shown(uri)}: the server answered {status}"
    if status in (404, 410):
        raise Missing(told)
    if status in _MAY_PASS or status >= 500:
        raise Unreachable(told)
    if status != 200:
        raise NexusError(told)


def _fetch_object(uri: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(uri, "rb") as file:
            return bytes(file.read(LARGEST + 1))
    except ImportError as error:
        raise MissingExtra("remote-data", f"{urlsplit(uri).scheme}:// ({error})") from None
    except FileNotFoundError:
        raise Missing(f"dataset {uri}: no such object") from None
    except PermissionError as error:
        raise NexusError(f"dataset {uri}: {error}") from None
    except Exception as error:  # each of fsspec's back ends has errors of its own
        raise Unreachable(f"dataset {uri}: {type(error).__name__}: {error}") from error


def _shown(uri: str) -> str:
    """Without its query, which in a signed address is the signature."""
    return uri.partition("?")[0]


def _bounded(uri: str, data: bytes) -> bytes:
    if len(data) > LARGEST:
        raise BadInput("dataset", uri, f"it is larger than {LARGEST} bytes; release from a sample or a shard")
    return data
