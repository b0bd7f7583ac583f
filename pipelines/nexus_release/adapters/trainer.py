"""Training with transformers and torch, small and deterministic: the same rows and recipe give the same bytes on the
same kind of processor."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus_release.adapters.checkpoints import chat_texts, load
from nexus_release.adapters.torch_runs import prepare
from nexus_release.errors import BadInput
from nexus_release.ports import TrainingResult
from nexus_release.steps.train import TrainRecipe

_log = logging.getLogger("nexus.train")

END, START, STOP = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Of ChatML, in the order of their ids, as Qwen has them."""
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
        """`base` None starts from nothing with the recipe's shape. Raises BadInput for a base that does not load, for
        too few rows, and for training that diverges."""
        prepare(recipe.seed)
        tokenizer, model = load(base, "float32", recipe.base) if base else _make(recipe, rows)
        losses = _fit(model, _tokens(tokenizer, rows, recipe), recipe)
        _save(model, tokenizer, recipe, into)
        tenth = max(1, len(losses) // 10)
        return TrainingResult(sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth)


def _make(recipe: TrainRecipe, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """A tokenizer trained on the rows, and a model of the recipe's shape with seeded weights."""
    from transformers import AutoModelForCausalLM

    config = _config(recipe)
    return _make_tokenizer(recipe, rows), AutoModelForCausalLM.from_config(config)


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
        bos_token_id=SPECIAL.index(END),
        eos_token_id=SPECIAL.index(STOP),
        pad_token_id=SPECIAL.index(END),
        dtype="float32",
    )


def _make_tokenizer(recipe: TrainRecipe, rows: Sequence[Mapping[str, Any]]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(
        (text for row in rows for message in row["messages"] for text in (message["role"], message["content"])), trainer
    )
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


def _tokens(tokenizer: Any, rows: Sequence[Mapping[str, Any]], recipe: TrainRecipe) -> list[int]:
    """All rows as one stream, in their order, as the chat template writes them."""
    encoded = tokenizer(chat_texts(tokenizer, rows), add_special_tokens=False)["input_ids"]
    stream = [token for ids in encoded for token in ids]
    if len(stream) <= recipe.sequence_tokens:
        raise BadInput("dataset", f"{len(stream)} tokens", f"training wants more than {recipe.sequence_tokens}")
    return stream


def _fit(model: Any, stream: list[int], recipe: TrainRecipe) -> list[float]:
    """Next-token training on windows of the stream; the loss of each step, in nats a token."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe.steps))
    losses: list[float] = []
    for step, batch in enumerate(_batches(stream, recipe), 1):
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            mend = "lower it, or take a base whose weights are numbers"
            raise BadInput("train.learning_rate", recipe.learning_rate, f"the loss is no number at step {step}; {mend}")
        if step % max(1, recipe.steps // 10) == 0:
            _log.info("train: step %d of %d, loss %.2f", step, recipe.steps, losses[-1])
    return losses


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth (Loshchilov and Hutter 2017)."""
    warm = max(1, int(steps * _WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(stream: list[int], recipe: TrainRecipe) -> Iterator[Any]:
    import torch

    tokens = torch.tensor(stream, dtype=torch.long)
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
