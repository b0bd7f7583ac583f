"""CTranslate2: inference on the CPU without torch, in float32 of exactly what the checkpoint holds, or in int8."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nexus_worker.checkpoint import Checkpoint
from nexus_worker.engines.ct2_spec import build_spec
from nexus_worker.engines.engine import Prefix, Sampling, Stats
from nexus_worker.engines.places import Places
from nexus_worker.engines.sampling import draw
from nexus_worker.errors import BadCheckpoint
from nexus_worker.json_file import read_object
from nexus_worker.safetensors_file import Array
from nexus_worker.text import Codec, TokenizerCodec

if TYPE_CHECKING:
    from ctranslate2 import Generator
    from tokenizers import Tokenizer

ENGINE = f"ctranslate2 {version('ctranslate2')}"
COMPUTE_TYPES = ("auto", "float32", "int8")
_LOGITS = 2**26  # numbers in one forward pass, 256 MB
_GENERATION = "generation_config.json"


class Ct2Model:
    """A loaded checkpoint. Its methods may be called from several threads."""

    name = ENGINE

    def __init__(self, generator: Generator, codec: TokenizerCodec, config: Mapping[str, Any], context: int) -> None:
        self.generator, self.codec, self.config = generator, codec, config
        self.context_tokens = context

    @classmethod
    def load(cls, folder: Path, compute_type: str = "float32", *, threads: int = 1, parallel: int = 1) -> Ct2Model:
        """`threads` for each of at most `parallel` sequences at once. Raises BadCheckpoint.

        `auto` is float32: int8 rounds the weights once more, which is nobody's wish who has just quantized them.
        """
        from ctranslate2 import Generator

        compute_type = "float32" if compute_type == "auto" else compute_type
        checkpoint = Checkpoint(folder)
        codec = TokenizerCodec.of(folder, checkpoint.architecture.vocabulary)
        config = {**checkpoint.config, **_generation_config(folder)}
        spec = build_spec(checkpoint, compute_type=compute_type)
        with tempfile.TemporaryDirectory(prefix="nexus-worker-") as private:
            spec.save(private)
            del spec  # the engine reads the weights anew
            generator = Generator(private, compute_type=compute_type, inter_threads=parallel, intra_threads=threads)
        return cls(generator, codec, config, checkpoint.architecture.context)

    @property
    def tokenizer(self) -> Tokenizer:
        return self.codec.tokenizer

    def render_chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """Raises BadMessages."""
        return self.codec.render_chat(messages, add_generation_prompt)

    @property
    def end_tokens(self) -> frozenset[int]:
        named = self.config.get("eos_token_id")
        named = named if isinstance(named, list) else [] if named is None else [named]
        if not all(type(token) is int and 0 <= token < self.codec.vocabulary for token in named):
            raise BadCheckpoint(_GENERATION, "eos_token_id", f"{named!r} are no tokens")
        return frozenset(named)

    def log_probs(self, batch: Sequence[Sequence[int]]) -> list[Array]:
        """Teacher-forced: float32 [tokens, vocabulary] for each sequence, natural logarithms; row i is of the token
        after the i-th. Raises ValueError for a sequence that is empty, too long or not of the vocabulary."""
        for tokens in batch:
            self._check(tokens)
        longest = max((len(tokens) for tokens in batch), default=1)
        at_once = max(1, _LOGITS // (longest * self.codec.vocabulary))
        found: list[Array] = []
        for start in range(0, len(batch), at_once):
            part = [list(tokens) for tokens in batch[start : start + at_once]]
            values = np.array(self.generator.forward_batch(part, return_log_probs=True))
            found.extend(values[row, : len(tokens)] for row, tokens in enumerate(part))
        return found

    def next_logits(self, tokens: Sequence[int]) -> Array:
        """float32 [vocabulary] of the token after the last."""
        words = [[str(token) for token in tokens]]
        results = self.generator.generate_batch(
            words, max_length=1, include_prompt_in_result=False, return_logits_vocab=True, end_token=[]
        )
        return np.array(results[0].logits[0][0]).reshape(-1)

    def _check(self, tokens: Sequence[int]) -> None:
        if not 1 <= len(tokens) <= self.context_tokens:
            raise ValueError(f"{len(tokens)} tokens: from 1 to {self.context_tokens} are possible")
        if not all(0 <= token < self.codec.vocabulary for token in tokens):
            raise ValueError(f"a token is not below {self.codec.vocabulary}")


class Ct2Engine:
    """The port `Engine`. Each sequence has a thread of its own in the engine."""

    def __init__(self, model: Ct2Model, *, max_num_seqs: int, context: int, name: str) -> None:
        self._model, self.context, self.name = model, context, name
        self.codec: Codec = model.codec
        self.end_tokens: Collection[int] = model.end_tokens
        self.defaults = _defaults(model.config, context)
        self._places = Places(max_num_seqs, context)
        self._threads = ThreadPoolExecutor(max_num_seqs, thread_name_prefix="decode")

    def stats(self) -> Stats:
        return self._places.stats()

    async def generate(self, prompt: Sequence[int], sampling: Sampling, prefix: Prefix) -> AsyncGenerator[int, None]:
        seeded = sampling.seed is not None and sampling.temperature > 0
        async with (
            self._places.take(len(prompt)) as place,
            aclosing((self._seeded if seeded else self._decoded)(prompt, sampling)) as tokens,
        ):
            async for token in tokens:
                place.tokens += 1
                yield token

    async def _decoded(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[int, None]:
        loop = asyncio.get_running_loop()
        tokens: asyncio.Queue[int | None] = asyncio.Queue()
        cancelled = threading.Event()

        def on_token(step: Any) -> bool:  # in the engine's thread
            loop.call_soon_threadsafe(tokens.put_nowait, step.token_id)
            return cancelled.is_set()

        greedy = sampling.temperature == 0
        decoding = loop.run_in_executor(
            self._threads,
            lambda: self._model.generator.generate_batch(
                [[str(token) for token in prompt]],
                max_length=sampling.max_tokens,
                min_length=sampling.max_tokens if sampling.ignore_eos else 0,
                end_token=sorted(self.end_tokens),
                return_end_token=True,
                include_prompt_in_result=False,
                sampling_topk=1 if greedy else sampling.top_k,
                sampling_topp=1 if greedy else sampling.top_p,
                sampling_temperature=1 if greedy else sampling.temperature,
                callback=on_token,
            ),
        )
        decoding.add_done_callback(lambda _: tokens.put_nowait(None))
        try:
            while (token := await tokens.get()) is not None:
                yield token
        finally:
            cancelled.set()
            await asyncio.wait([decoding])  # at most one token; only then is the place free
        decoding.result()

    async def _seeded(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[int, None]:
        """The engine's random numbers cannot be seeded for one request, so its logits are drawn from here. Each token
        computes the whole sequence anew."""
        loop = asyncio.get_running_loop()
        random = np.random.default_rng(sampling.seed)
        sequence = list(prompt)
        for _ in range(sampling.max_tokens):
            logits = await loop.run_in_executor(self._threads, self._model.next_logits, sequence)
            if sampling.ignore_eos:
                logits[sorted(self.end_tokens)] = -np.inf
            token = draw(logits, sampling, random)
            sequence.append(token)
            yield token
            if token in self.end_tokens:
                return


def _generation_config(folder: Path) -> Mapping[str, Any]:
    return read_object(folder, _GENERATION, limit=2**20) if (folder / _GENERATION).exists() else {}


def _defaults(config: Mapping[str, Any], context: int) -> Sampling:
    """Of the model's `generation_config.json`, as vLLM takes them."""
    temperature, top_p, top_k = (config.get(name) for name in ("temperature", "top_p", "top_k"))
    return Sampling(
        max_tokens=context,
        temperature=float(temperature) if isinstance(temperature, int | float) and temperature >= 0 else 1.0,
        top_p=float(top_p) if isinstance(top_p, int | float) and 0 < top_p <= 1 else 1.0,
        top_k=top_k if isinstance(top_k, int) and top_k > 0 else 0,
    )
