"""A connection of uvicorn's that makes its parts when they are needed: of thousands with a stream under way, served on
the wire, none ever is, and they take as much memory as all else of such a connection."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl

from nexus_gateway.limited_protocol import LimitedProtocol


class LateParts(LimitedProtocol):
    # uvicorn's own attributes too: with ours they are more than one dictionary of keys serves for all connections, and
    # each had one of 1.2 KB. A name that uvicorn no longer has, or has besides, does no harm.
    __slots__ = (
        "_deadline", "_head_bytes", "_in_head", "_in_message", "_left", "_turn", "_wrote_in", "access_log",
        "access_logger", "app", "app_state", "asgi_version", "client", "config", "connections", "cycle",
        "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline",
        "root_path", "scheme", "scope", "server", "server_state", "tasks", "timeout_keep_alive",
        "timeout_keep_alive_task", "transport", "ws_protocol_class",
    )  # fmt: skip

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        del self.parser, self.pipeline

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = LateFlowControl(transport)

    def __getattr__(self, name: str) -> Any:
        """Of what is not there (yet)."""
        if name == "parser":
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            return self.parser
        if name == "pipeline":
            self.pipeline = deque()
            return self.pipeline
        raise AttributeError(name)


class LateFlowControl(FlowControl):
    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    def __getattr__(self, name: str) -> Any:
        if name != "_is_writable_event":
            raise AttributeError(name)
        self._is_writable_event = asyncio.Event()
        if not self.write_paused:
            self._is_writable_event.set()
        return self._is_writable_event
