"""Checkpoints that several files of this folder read, made once."""

from __future__ import annotations

import pytest

from ..support.checkpoints import Checkpoints


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    pytest.importorskip("torch", reason="torch is not installed: run `make setup-dev`")
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))
