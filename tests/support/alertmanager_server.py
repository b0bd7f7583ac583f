"""A real Alertmanager with the repository's own configuration, whose addresses alone are a test's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from nexus_release.local.free_ports import free_port

from .alert_sink import PASSWORD, TOKEN, AlertSink
from .gateway import PLAIN, until
from .repository import ROOT

CONFIG = ROOT / "ops" / "alertmanager"
_ADDRESSES = {
    "/etc/alertmanager/secrets/": "{folder}/secrets/",
    "smtp.example.com:587": "{smarthost}",
    "smtp_from:": "smtp_require_tls: false\n  smtp_from:",
    "https://pager.example.com/alerts": "{url}/webhook",
    "https://alive.example.com/nexus": "{url}/alive",
    "group_wait: 30s": "group_wait: 1s",
    "group_wait: 10s": "group_wait: 1s",
    "group_interval: 5m": "group_interval: 1s",
    "group_interval: 1m": "group_interval: 1s",
    "repeat_interval: 5m": "repeat_interval: 1s",
}
"""What stands in the committed file -> what a test has instead: no TLS on loopback, and no waiting for more alerts."""


def alertmanager_program() -> str:
    """Debian's name, or upstream's."""
    if found := shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("alertmanager is not here: run `make services`")
    pytest.skip("alertmanager is not here (`make services` installs it)")


class Alertmanager:
    def __init__(self, folder: Path, sink: AlertSink) -> None:
        (folder / "secrets").mkdir()
        (folder / "secrets/slack-url").write_text(f"{sink.url}/slack")
        (folder / "secrets/smtp-password").write_text(PASSWORD)
        (folder / "secrets/webhook-token").write_text(TOKEN)
        shutil.copytree(CONFIG / "templates", folder / "templates")
        text = (CONFIG / "alertmanager.yml").read_text()
        for theirs, ours in _ADDRESSES.items():
            assert theirs in text, theirs
            text = text.replace(theirs, ours.format(url=sink.url, smarthost=sink.smarthost, folder=folder))
        (folder / "alertmanager.yml").write_text(text)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "alertmanager.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    alertmanager_program(),
                    f"--config.file={folder}/alertmanager.yml",
                    f"--storage.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--cluster.listen-address=",
                ],
                cwd="/",  # nothing of it may hang on where it is started
                stdout=log,
                stderr=log,
            )
        until(self._ready, "Alertmanager answers", 60)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/-/ready", verify=PLAIN).status_code == 200
        except httpx.TransportError:
            return False
