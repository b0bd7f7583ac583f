"""A real client: the OpenAI SDK."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from ..support.gateway import RELEASE, Gateway
from ..support.upstream import WORDS


@pytest.fixture
def sdk(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="dev-key", max_retries=0) as client:
        yield client


def test_a_whole_answer(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="ok", messages=[{"role": "user", "content": "hi"}])
    assert raw.parse().choices[0].message.content == "".join(WORDS)
    assert raw.headers["x-nexus-release"] == RELEASE
    assert raw.headers["x-nexus-route"] == "ok"


def test_a_stream(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(model="ok", messages=[{"role": "user", "content": "hi"}], stream=True)
    chunks = list(stream)
    assert [c.choices[0].delta.content for c in chunks if c.choices] == list(WORDS)
    assert chunks[-1].usage is not None


def test_a_stream_that_breaks_is_an_error_and_not_a_short_answer(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(model="reset", messages=[{"role": "user", "content": "hi"}], stream=True)
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    assert broken.value.code == "stream_broken"


def test_errors_are_the_sdk_s_own_classes(sdk: openai.OpenAI) -> None:
    ask = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(model="none", messages=ask)  # type: ignore[arg-type]  # a plain message
    with pytest.raises(openai.AuthenticationError):
        sdk.with_options(api_key="wrong").chat.completions.create(model="ok", messages=ask)  # type: ignore[arg-type]  # a plain message
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model="429", messages=ask)  # type: ignore[arg-type]  # a plain message


def test_models_are_listed(sdk: openai.OpenAI) -> None:
    assert "ok" in {model.id for model in sdk.models.list()}
