"""Training with transformers and torch, small and deterministic: the same rows and recipe give the same bytes."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_release.errors import BadInput
from nexus_release.ports import TrainingResult
from nexus_release.steps.train import TrainRecipe

_log = logging.getLogger("nexus.train")

THREADS = 2
"""Of torch. A sum over another number of threads rounds differently, so it is fixed and not the machine's."""

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_WARM_UP = 0.05  # of the steps, before the cosine begins
_WEIGHT_DECAY = 0.1
_CLIP = 1.0  # largest norm of the gradient


class TransformersTrainer:
    """The port `Trainer`."""

    def train(
        self, *, rows: Sequence[Mapping[str, Any]], base: Path | None, recipe: TrainRecipe, into: Path
    ) -> TrainingResult:
        """`base` None starts from nothing with the recipe's shape. Raises BadInput for a base that does not load."""
        with _quiet():
            import torch

            torch.manual_seed(recipe.seed)
            torch.set_num_threads(THREADS)
            torch.use_deterministic_algorithms(True)
            tokenizer, model = _load(base) if base else _make(recipe, [_text(row) for row in rows])
            first, last = _fit(model, _tokens(tokenizer, rows), recipe) if recipe.steps else (0.0, 0.0)
            _save(model, tokenizer, recipe, into)
        return TrainingResult(first, last)


def _make(recipe: TrainRecipe, texts: Sequence[str]) -> tuple[Any, Any]:
    """A tokenizer trained on the texts, and a model of the recipe's shape with seeded weights."""
    from transformers import AutoModelForCausalLM

    return _make_tokenizer(recipe, texts), AutoModelForCausalLM.from_config(_config(recipe))


def _config(recipe: TrainRecipe) -> Any:
    from transformers import LlamaConfig, Qwen2Config

    architecture = urlsplit(recipe.base).netloc
    kinds = {"qwen2": Qwen2Config, "llama": LlamaConfig}
    if architecture not in kinds:
        raise BadInput(
            "train.base", recipe.base, f"from nothing there are {', '.join(f'scratch://{k}' for k in kinds)}"
        )
    return kinds[architecture](
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        max_position_embeddings=recipe.context_tokens,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=0,
        dtype="float32",
    )


def _make_tokenizer(recipe: TrainRecipe, texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[END, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=END,
        eos_token=STOP,
        pad_token=END,
        model_max_length=recipe.context_tokens,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _load(base: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            base, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="float32"
        )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput("train.base", str(base), f"transformers cannot load it: {str(error).splitlines()[0]}") from error
    return tokenizer, model


def _text(row: Mapping[str, Any]) -> str:
    return "".join(f"{START}{m['role']}\n{m['content']}{STOP}\n" for m in row["messages"])


def _tokens(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """All rows as one stream, in the order of their hashes' rows in the file."""
    encoded = tokenizer([_text(row) for row in rows], add_special_tokens=False)["input_ids"]
    return [token for ids in encoded for token in ids]


def _fit(model: Any, stream: list[int], recipe: TrainRecipe) -> tuple[float, float]:
    """Next-token training on windows of the stream; (mean loss of the first tenth, of the last tenth of the steps)."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe.steps))
    losses: list[float] = []
    for step, batch in enumerate(_batches(stream, recipe)):
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(float(loss.detach()))
        if (step + 1) % max(1, recipe.steps // 5) == 0:
            _log.info("train: step %d of %d, loss %.2f", step + 1, recipe.steps, losses[-1])
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth (Loshchilov and Hutter 2017)."""
    warm = max(1, int(steps * _WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(stream: list[int], recipe: TrainRecipe) -> Iterator[Any]:
    import torch

    tokens = torch.tensor(stream, dtype=torch.long)
    if len(tokens) <= recipe.sequence_tokens:
        raise BadInput("dataset", f"{len(tokens)} tokens", f"training wants more than {recipe.sequence_tokens}")
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.steps):
        starts = torch.randint(len(tokens) - recipe.sequence_tokens, (recipe.batch_rows,), generator=generator)
        yield torch.stack([tokens[start : start + recipe.sequence_tokens] for start in starts])


def _save(model: Any, tokenizer: Any, recipe: TrainRecipe, into: Path) -> None:
    import torch

    model.eval()
    model.to(getattr(torch, recipe.weights)).save_pretrained(into)
    tokenizer.save_pretrained(into)
    config = into / "config.json"
    known = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Offline, and without the libraries' own progress; their warnings stay."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    yield
