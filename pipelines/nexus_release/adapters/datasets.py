"""Datasets by URI: paths and `file://` by ourselves, `http(s)://` by httpx, object stores by fsspec."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_release.errors import BadInput, Missing, MissingExtra, NexusError, Unreachable

LARGEST = 1 << 30
"""Bytes; a larger dataset wants to be sharded before one process reads it."""

_TRIES = 3
_PAUSE_SECONDS = 1.0  # doubled after each try
_TIMEOUT_SECONDS = 60.0  # without a byte
_REMOTE = ("s3", "gs", "http", "https")


class UriDatasets:
    """The port `Datasets`."""

    def read(self, uri: str) -> bytes:
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            return _read_file(uri, Path(unquote(parts.path) if parts.scheme else uri))
        if parts.scheme not in _REMOTE:
            raise BadInput("dataset", uri, f"give a path, file:// or one of {', '.join(f'{s}://' for s in _REMOTE)}")
        return _read_remote(uri)


def _read_file(uri: str, path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise _too_large(uri)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"dataset {uri}: no such file") from None
    except OSError as error:
        raise NexusError(f"dataset {uri}: {error.strerror}") from None


def _read_remote(uri: str) -> bytes:
    fetch = _fetch_http if uri.startswith("http") else _fetch_object
    for attempt in range(1, _TRIES + 1):
        try:
            return fetch(uri)
        except Unreachable:
            if attempt == _TRIES:
                raise
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("the last try returns or raises")


def _fetch_http(uri: str) -> bytes:
    """fsspec reports a server that is not there as a missing file, so HTTP is asked directly."""
    import httpx

    pieces, size = [], 0
    try:
        with httpx.stream("GET", uri, timeout=_TIMEOUT_SECONDS, follow_redirects=True) as answer:
            if answer.status_code in (404, 410):
                raise Missing(f"dataset {uri}: the server has no such file ({answer.status_code})")
            if answer.status_code != 200:
                kind = Unreachable if answer.status_code >= 500 or answer.status_code == 429 else NexusError
                raise kind(f"dataset {uri}: the server answered {answer.status_code}")
            for piece in answer.iter_bytes():
                size += len(piece)
                if size > LARGEST:
                    raise _too_large(uri)
                pieces.append(piece)
    except httpx.HTTPError as error:
        raise Unreachable(f"dataset {uri}: {type(error).__name__}: {error}") from error
    return b"".join(pieces)


def _fetch_object(uri: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(uri, "rb") as file:
            data = bytes(file.read(LARGEST + 1))
    except ImportError as error:
        raise MissingExtra("remote-data", f"{urlsplit(uri).scheme}:// ({error})") from None
    except FileNotFoundError:
        raise Missing(f"dataset {uri}: no such object") from None
    except Exception as error:  # each of fsspec's back ends has errors of its own
        raise Unreachable(f"dataset {uri}: {type(error).__name__}: {error}") from error
    if len(data) > LARGEST:
        raise _too_large(uri)
    return data


def _too_large(uri: str) -> BadInput:
    return BadInput("dataset", uri, f"it is larger than {LARGEST} bytes; release from a sample or a shard")
