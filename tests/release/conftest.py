"""Fixtures of the release's tests."""

from __future__ import annotations

import pytest

from ..support.trained import Trained, train_small


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_small(tmp_path_factory.mktemp("trained"))
