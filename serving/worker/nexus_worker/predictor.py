"""The same engine as a custom predictor of KServe: a `kserve.ModelServer` with its protocols, probes and metrics.

V1 (`:predict`): each instance is a body of OpenAI's API, each prediction its answer. V2 (`infer`): the tensor `prompt`
of texts in, the tensor `text` out; `max_tokens`, `temperature`, `top_p`, `top_k`, `seed` and `stop` are parameters.
Whole answers only: KServe's protocols stream none. Its own OpenAI paths need the package vllm, and are not here.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from nexus_worker.answering import Answering
from nexus_worker.client_leaving import EndsWithItsClient
from nexus_worker.errors import ApiError, BadOption
from nexus_worker.replies import ChatReply, CompletionReply, Reply
from nexus_worker.requests import ChatRequest, CompletionRequest, invalid

MISSING = "the extra kserve is not installed here: pip install 'nexus-platform[kserve,worker]'"
_MOST = 256
"""Instances, or prompts, of one request: each waits for a place of its own."""
_PARAMETERS = frozenset({"max_tokens", "temperature", "top_p", "top_k", "seed", "stop"})


def run(answering: Answering, port: int, grace_seconds: int) -> None:
    """Returns after SIGTERM, once what was running is answered, or after `grace_seconds`. Raises BadOption."""
    argv, sys.argv = sys.argv, sys.argv[:1]  # the package reads the command line when it is imported
    try:
        import kserve
        from kserve.model_server import app
    except ImportError:
        raise BadOption("predictor", "kserve", MISSING) from None
    finally:
        sys.argv = argv

    class Predictor(kserve.Model):  # type: ignore[misc]  # the package has no types
        def load(self) -> bool:
            self.ready = True
            return True

        async def predict(self, payload: Any, headers: object = None, response_headers: object = None) -> Any:
            try:
                if isinstance(payload, kserve.InferRequest):
                    texts = await _texts(answering, payload)
                    data = kserve.InferOutput("text", [len(texts)], "BYTES", texts)
                    return kserve.InferResponse(payload.id or str(uuid.uuid4()), answering.model, [data])
                return {"predictions": await _predictions(answering, payload)}
            except ApiError as error:
                if error.status < 500:
                    raise kserve.errors.InvalidInput(str(error)) from None
                raise kserve.errors.InferenceError(str(error)) from None

    app.add_middleware(EndsWithItsClient)  # the package goes on with what nobody waits for
    predictor = Predictor(answering.model)
    predictor.load()
    kserve.ModelServer(http_port=port, enable_grpc=False, grace_period=grace_seconds, workers=1).start([predictor])


async def _predictions(answering: Answering, payload: Any) -> Sequence[Mapping[str, Any]]:
    """Raises ApiError for the first instance that may not be answered, before any is."""
    if not (isinstance(payload, Mapping) and isinstance(payload.get("instances"), list)):
        raise ApiError.bad_request("instances: give a list of bodies of OpenAI's API", "instances")
    if len(payload["instances"]) > _MOST:
        raise ApiError.bad_request(
            f"instances: {len(payload['instances'])} are too many; send {_MOST} at most", "instances"
        )
    asked = [_asked(instance) for instance in payload["instances"]]
    admitted = [(answering.reply(reply), answering.admit(body)) for reply, body in asked]
    texts = await asyncio.gather(*(answering.text(generation) for _, generation in admitted))
    return [reply.whole(text, generation) for (reply, generation), text in zip(admitted, texts, strict=True)]


def _asked(instance: Any) -> tuple[type[Reply], ChatRequest | CompletionRequest]:
    try:
        if isinstance(instance, Mapping) and "messages" in instance:
            return ChatReply, ChatRequest.model_validate(instance)
        return CompletionReply, CompletionRequest.model_validate(instance)
    except ValidationError as error:
        raise invalid(error.errors()) from None


async def _texts(answering: Answering, request: Any) -> list[str]:
    prompts = [tensor for tensor in request.inputs if tensor.name == "prompt"]
    if not prompts or prompts[0].datatype != "BYTES":
        raise ApiError.bad_request("prompt: give a tensor of that name, of datatype BYTES", "prompt")
    said = {name: value for name, value in (request.parameters or {}).items() if name in _PARAMETERS}
    instances = [{"prompt": _text(prompt), **said} for prompt in prompts[0].data]
    answers = await _predictions(answering, {"instances": instances})
    return [answer["choices"][0]["text"] for answer in answers]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
