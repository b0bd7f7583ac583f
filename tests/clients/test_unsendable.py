"""What our own client refuses before it sends anything: by the field, the value and the mend."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nexus_client import AsyncClient, BadQuestion, Client, ClientError
from nexus_release.local.free_ports import free_port

from ..support.gateway import PLAIN

KEY = "dev-key"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session", "김-42"),
        ("session", "one\nx-nexus-release: other"),
        ("idempotency_key", "bestellung-ä"),
        ("stream", True),
        ("stream_options", {"include_usage": False}),
        ("temperature", float("nan")),
        ("user", "\ud83d"),
        ("tools", {"a", "set"}),
    ],
)
def test_what_can_never_be_sent_is_refused_by_field_value_and_mend_before_anybody_is_asked(
    field: str, value: Any
) -> None:
    async def asked_and_streamed(url: str) -> None:
        async with AsyncClient(url, KEY, verify=PLAIN) as client:
            with pytest.raises(BadQuestion, match=f"^{field}: .* is refused: .+"):
                await client.chat("chat", "hello", **{field: value})
            with pytest.raises(BadQuestion, match=f"^{field}: "):
                async with client.stream("chat", "hello", **{field: value}):
                    pass

    nobody = f"http://127.0.0.1:{free_port()}"  # which would be Unreachable
    with Client(nobody, KEY, verify=PLAIN) as client:
        with pytest.raises(BadQuestion, match=f"^{field}: .* is refused: .+") as refused:
            client.chat("chat", "hello", **{field: value})
        with pytest.raises(BadQuestion, match=f"^{field}: "), client.stream("chat", "hello", **{field: value}):
            pass
    assert (refused.value.field, refused.value.value) == (field, value)
    assert isinstance(refused.value, ClientError)
    asyncio.run(asked_and_streamed(nobody))


@pytest.mark.parametrize("made", [Client, AsyncClient])
def test_a_key_that_no_header_takes_is_refused_and_not_told(made: type[Client] | type[AsyncClient]) -> None:
    with pytest.raises(ValueError, match="key: ") as refused:
        made("http://127.0.0.1:1", "secret-key\n")
    assert "secret" not in str(refused.value)
