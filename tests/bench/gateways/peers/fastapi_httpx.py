"""A proxy as people write it by FastAPI and httpx: a pydantic body, a key, and a stream handed on.

Runs by `uvicorn tests.bench.gateways.peers.fastapi_httpx:app`, with ENGINE_URL and API_KEY in the environment.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

_PATH = "/v1/chat/completions"
_EVERY_CONNECTION = httpx.Limits(max_connections=None, max_keepalive_connections=None)


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[dict[str, Any]] | None = None


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Message]
    stream: bool = False


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = os.environ["ENGINE_URL"]
    async with httpx.AsyncClient(base_url=engine, timeout=600, limits=_EVERY_CONNECTION) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=_lifespan)


def known(authorization: Annotated[str, Header()] = "") -> None:
    if authorization != f"Bearer {os.environ['API_KEY']}":
        raise HTTPException(401)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post(_PATH, dependencies=[Depends(known)])
async def chat(asked: ChatRequest) -> Response:
    client: httpx.AsyncClient = app.state.client
    body = asked.model_dump(exclude_none=True)
    if not asked.stream:
        answer = await client.post(_PATH, json=body)
        return JSONResponse(answer.json(), answer.status_code)
    request = client.build_request("POST", _PATH, json=body)
    begun = await client.send(request, stream=True)
    return StreamingResponse(_pieces(begun), begun.status_code, media_type="text/event-stream")


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
