"""The program that builds folders of manifests."""

from __future__ import annotations

import os
import shutil

import pytest


def kustomize() -> list[str]:
    """The command that builds a folder; a skip where there is none, a failure where CI must have it."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            return command
    if os.environ.get("CI") == "true":
        pytest.fail("neither kustomize nor kubectl is here: run `make services`")
    pytest.skip("neither kustomize nor kubectl is here (`make services` installs kustomize)")
