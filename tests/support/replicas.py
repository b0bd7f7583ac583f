"""The gateway of an environment as a cluster runs it: replicas that each read a folder of their own, as pods do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .gateway import Gateway, until
from .remotes import Remote


class Replica:
    def __init__(self, folder: Path, remote: Remote, environment: str, *flags: str, workers: int = 1) -> None:
        folder.mkdir()
        self.routes = folder / "routes.d"
        self.routes.mkdir()
        self.remote, self.environment = remote, environment
        self.follow()
        resolve = folder / "resolve.json"
        resolve.write_text("{}")
        self.gateway = Gateway(
            folder, "--routes", str(self.routes), "--resolve", str(resolve), "--workers", str(workers), *flags
        )
        self.resolve, self._workers = resolve, workers

    @property
    def url(self) -> str:
        return self.gateway.url

    def follow(self, commit: str = "main") -> None:
        """What a kubelet does some time after a sync: the mounted folder is that of the commit."""
        found = self.remote.files(f"gitops/{self.environment}/gateway/routes.d", commit=commit)
        names = {Path(path).name: data for path, data in found.items()}
        for name, data in names.items():
            (self.routes / name).write_bytes(data)
        for path in self.routes.iterdir():
            if path.name not in names:
                path.unlink()

    def wait(self) -> Replica:
        self.gateway.wait()
        until(lambda: len(self.gateway.config()["workers"]) == self._workers, "all workers answer", 60)
        return self

    def served(self) -> set[str]:
        return {worker["revision"] for worker in self.gateway.config()["workers"]}


@contextmanager
def replicas(
    folder: Path, remote: Remote, environment: str, *, count: int = 2, workers: int = 1
) -> Iterator[list[Replica]]:
    found = [Replica(folder / f"replica-{n}", remote, environment, workers=workers) for n in range(count)]
    try:
        yield [one.wait() for one in found]
    finally:
        for one in found:
            if one.gateway.process.poll() is None:
                one.gateway.stop()
