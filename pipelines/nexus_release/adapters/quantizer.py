"""Quantization with llm-compressor to compressed-tensors, which vLLM loads as it is."""

from __future__ import annotations

import io
import json
import logging
import random
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from nexus_release.adapters.checkpoints import chat_texts, load
from nexus_release.adapters.torch_runs import prepare
from nexus_release.errors import BadInput
from nexus_release.steps.quantize import QuantizeRecipe

_log = logging.getLogger("nexus.quantize")

_IGNORED = ("lm_head",)  # the last layer's error is the error of every token
_GROUP = 128  # columns that share one int4 scale, llm-compressor's preset for W4A16
_CALIBRATION_TOKENS = 256  # of each calibration row; later ones add little to the ranges


class LlmCompressorQuantizer:
    """The port `Quantizer`."""

    def quantize(self, *, model: Path, rows: Sequence[Mapping[str, Any]], recipe: QuantizeRecipe, into: Path) -> None:
        """Raises BadInput where a dimension of the model does not fit the scheme."""
        prepare(recipe.seed)
        with _silence():
            from llmcompressor import oneshot

            tokenizer, loaded = load(model, "auto", model.name)
            _fits(loaded, recipe)
            oneshot(model=loaded, recipe=[_modifier(recipe)], **_calibration(tokenizer, rows, recipe))
            loaded.save_pretrained(into, save_compressed=True)
        _copy_beside_weights(model, into)
        _settle(into)


def _fits(model: Any, recipe: QuantizeRecipe) -> None:
    import torch

    if recipe.scheme != "W4A16":
        return
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name not in _IGNORED and module.in_features % _GROUP:
            raise BadInput(
                f"columns of {name}",
                module.in_features,
                f"W4A16 shares a scale among {_GROUP} columns; choose another scheme, or other sizes in the recipe",
            )


def _modifier(recipe: QuantizeRecipe) -> Any:
    """Rounding for FP8_DYNAMIC, which needs no data; GPTQ (Frantar et al. 2023) for the integer schemes."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    kind = QuantizationModifier if recipe.scheme == "FP8_DYNAMIC" else GPTQModifier
    return kind(targets="Linear", scheme=recipe.scheme, ignore=list(_IGNORED))


def _calibration(tokenizer: Any, rows: Sequence[Mapping[str, Any]], recipe: QuantizeRecipe) -> dict[str, Any]:
    if recipe.scheme == "FP8_DYNAMIC":
        return {}
    from datasets import Dataset

    count = min(recipe.calibration_rows, len(rows))
    chosen = random.Random(recipe.seed).sample(list(rows), count)  # noqa: S311 - a sample, no secret
    encoded = tokenizer(
        chat_texts(tokenizer, chosen), add_special_tokens=False, truncation=True, max_length=_CALIBRATION_TOKENS
    )
    data = Dataset.from_dict({"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]})
    return {
        "dataset": data,
        "num_calibration_samples": len(chosen),
        "max_seq_length": _CALIBRATION_TOKENS,
        "shuffle_calibration_samples": False,
    }


def _copy_beside_weights(model: Path, into: Path) -> None:
    """Tokenizer, template and the like, byte for byte: a tokenizer that was used saves its last truncation with it."""
    for path in sorted(model.iterdir()):
        written = path.name == "config.json" or path.suffix == ".safetensors" or path.name.endswith(".index.json")
        if not written:
            shutil.copyfile(path, into / path.name)


def _settle(into: Path) -> None:
    """What llm-compressor writes for itself does not belong to the artifact; JSON is sorted, so that bytes are one."""
    (into / "recipe.yaml").unlink(missing_ok=True)
    config = into / "config.json"
    document = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _silence() -> Iterator[None]:
    """Its bars and loggers tell each layer's timing; that goes to our log, at DEBUG."""
    said = io.StringIO()
    with redirect_stderr(said), warnings.catch_warnings():
        # The sequential pipeline leaves hooks that look like offloading; everything is in memory.
        warnings.filterwarnings("ignore", "Attempting to save a model with offloaded modules")
        _import_silently(said)
        try:
            yield
        finally:
            _log.debug("%s", said.getvalue())


def _import_silently(said: io.StringIO) -> None:
    with redirect_stdout(said):  # its logger takes standard output as it is at its import, and warns at once
        import datasets
        import llmcompressor  # noqa: F401 - for its logger, which can be disabled only then
        from loguru import logger

    for library in ("llmcompressor", "compressed_tensors"):
        logger.disable(library)
    datasets.disable_progress_bars()
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)  # a name that llm-compressor still uses
