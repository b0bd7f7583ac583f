"""The gateway's folder of routes and its table of addresses, swapped so that a reader sees the old or the new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping

from nexus_release.journal import write_whole
from nexus_release.local.paths import Paths


def put_routes(paths: Paths, commit: str, files: Mapping[str, bytes]) -> None:
    """Makes `routes` a link to a folder of exactly `files`. A crash leaves the old link, and at most a folder aside."""
    folder = paths.local / f"routes-{commit}"
    if not folder.exists():
        draft = paths.local / f".routes-{commit}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, data in files.items():
            (draft / name).write_bytes(data)
        draft.rename(folder)
    link_routes(paths, folder.name)


def link_routes(paths: Paths, folder: str) -> None:
    """`rename` replaces the link in one step, which unlinking and linking again would not."""
    fresh = paths.local / ".routes.link"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder)
    fresh.replace(paths.routes)


def linked_routes(paths: Paths) -> str:
    """Name of the folder that is served now; empty before there is one."""
    return paths.routes.readlink().name if paths.routes.is_symlink() else ""


def drop_other_routes(paths: Paths) -> None:
    served = linked_routes(paths)
    for folder in paths.local.glob("routes-*"):
        if folder.name != served:
            shutil.rmtree(folder)


def put_resolve(paths: Paths, table: Mapping[str, str]) -> None:
    """`table`: `host:port` as routes write it -> `host:port` on this machine."""
    write_whole(paths.resolve, json.dumps(dict(sorted(table.items())), indent=2) + "\n")
