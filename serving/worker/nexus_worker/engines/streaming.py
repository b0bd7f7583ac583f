"""CTranslate2 behind the port `Engine`: tokens leave its threads one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from nexus_worker.engines.ct2 import Ct2Model
from nexus_worker.engines.engine import Prompt, Sampling


class Ct2Engine:
    def __init__(self, model: Ct2Model, context_tokens: int | None = None) -> None:
        """`context_tokens` may lower the checkpoint's own."""
        self._model = model
        self.name = model.name
        self.context_tokens = min(context_tokens or model.context_tokens, model.context_tokens)

    def prepare_chat(self, messages: Sequence[Mapping[str, Any]]) -> Prompt:
        return self.prepare_text(self._model.template.render(messages))

    def prepare_text(self, text: str) -> Prompt:
        return Prompt(tuple(self._model.tokenizer.encode(text, add_special_tokens=False).ids))

    async def generate(self, prompt: Prompt, sampling: Sampling) -> AsyncIterator[int]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[int | None] = asyncio.Queue()
        cancelled = False

        def token(step: Any) -> bool:
            loop.call_soon_threadsafe(arrived.put_nowait, step.token_id)
            if step.is_last:
                loop.call_soon_threadsafe(arrived.put_nowait, None)
            return cancelled

        ids = self._model.tokenizer.id_to_token
        pending = self._model.generator.generate_batch(
            [[ids(number) for number in prompt.ids]],
            asynchronous=True,
            include_prompt_in_result=False,
            max_length=sampling.max_tokens,
            end_token=sorted(self._model.ends),
            return_end_token=True,
            callback=token,
            **_sampling(sampling),
        )[0]
        try:
            while (number := await arrived.get()) is not None:
                if number not in self._model.ends:
                    yield number
        finally:
            cancelled = True  # the engine asks at its next token
        await asyncio.to_thread(pending.result)  # raises what went wrong in the engine's thread

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._model.tokenizer.decode(list(ids), skip_special_tokens=True))

    def close(self) -> None:
        self._model.generator.unload_model()


def _sampling(sampling: Sampling) -> dict[str, Any]:
    if sampling.temperature == 0:
        return {"sampling_topk": 1}
    return {
        "sampling_topk": 0,  # all
        "sampling_topp": sampling.top_p,
        "sampling_temperature": sampling.temperature,
    }
