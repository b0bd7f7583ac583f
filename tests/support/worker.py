"""A worker as a process of its own, on a port that was free."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 60.0  # a loaded machine is slow; nothing waits for as long otherwise


def poll(found: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Waits until `found` says so, and fails after that many seconds."""
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)


class Worker:
    """`with Worker("--engine=mock", ...) as worker:` ends the process, however the test ends."""

    def __init__(self, *words: str) -> None:
        program = str(Path(sys.executable).with_name("nexus-worker"))
        self.process = subprocess.Popen(
            [program, "serve", "--port=0", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Worker:
        try:
            poll(lambda: bool(self._address()) or self.process.poll() is not None, "the worker says where it listens")
            assert self._address(), "".join(self.said)
            self.url = self._address()
            poll(lambda: self.status("/health") == 200, "the worker is ready")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    @property
    def grpc(self) -> str:
        """Where it is asked by gRPC, where it was told to be."""
        poll(lambda: bool(self._address("grpc")), "the worker says where it is asked by gRPC")
        return self._address("grpc")

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=_SECONDS)

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.url + path, timeout=_SECONDS) as answer:  # noqa: S310 - loopback
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample; raises LookupError where there is none."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=_SECONDS) as answer:  # noqa: S310 - loopback
            families = list(text_string_to_metric_families(answer.read().decode()))
        for family in families:
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        raise LookupError(name)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(_SECONDS)

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said.append(line)

    def _address(self, scheme: str = "http") -> str:
        found = re.search(rf" on ({scheme}://\S+)$", "".join(self.said), re.MULTILINE)
        return found.group(1) if found else ""
