"""Commands of pages that are typed beside an environment that is up: three gateways at main's routes, engines, registry
and Prometheus. What a checkout is enough for is in test_documented_runs.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.followed import AT_PROD
from ..support.prometheus_server import prometheus_program
from ..support.reader_world import Reader
from ..support.served_world import served

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def on_duty(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str) -> Iterator[Reader]:
    prometheus_program()
    with served(tmp_path_factory.mktemp("duty"), mlflow_server) as one:
        yield one


@pytest.mark.parametrize("page", AT_PROD)
def test_what_a_page_has_typed_beside_an_environment_does_what_it_says(page: str, on_duty: Reader) -> None:
    told = AT_PROD[page]
    said = on_duty.follow(told.script(page, {}), {}, {})
    assert [expected for expected in told.says if expected not in said] == [], said
