"""One run of a real gateway, for all tests of where its lines go."""

from __future__ import annotations

import pytest

from ..support.gateway_run import GatewayRun, gateway_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> GatewayRun:
    return gateway_run(tmp_path_factory.mktemp("gateway-run"))
