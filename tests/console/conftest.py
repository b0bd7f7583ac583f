"""The browser that the console's tests look at it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.browser import Browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened
