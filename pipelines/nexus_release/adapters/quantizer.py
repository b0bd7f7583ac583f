"""Quantization with llm-compressor to compressed-tensors, which vLLM loads as it is."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_release.errors import BadInput
from nexus_release.steps.quantize import QuantizeRecipe

THREADS = 2
"""Of torch; see `trainer.py`."""

_GROUP = 128  # columns that share one int4 scale, llm-compressor's preset for W4A16
_CALIBRATION_TOKENS = 256  # of each calibration row; later ones add little to the ranges


class LlmCompressorQuantizer:
    """The port `Quantizer`."""

    def quantize(self, *, model: Path, rows: Sequence[Mapping[str, Any]], recipe: QuantizeRecipe, into: Path) -> None:
        """Raises BadInput where a dimension of the model does not fit the scheme."""
        _fits(model, recipe)
        _silence()
        import torch
        from llmcompressor import oneshot
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.manual_seed(recipe.seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(True)
        loaded = AutoModelForCausalLM.from_pretrained(
            model, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="auto"
        )
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=False)
        oneshot(model=loaded, recipe=[_modifier(recipe)], **_calibration(tokenizer, rows, recipe))
        with warnings.catch_warnings():
            # The sequential pipeline leaves hooks that look like offloading; everything is in memory.
            warnings.filterwarnings("ignore", "Attempting to save a model with offloaded modules")
            loaded.save_pretrained(into, save_compressed=True)
        _copy_tokenizer(model, into)
        _settle(into)


def _fits(model: Path, recipe: QuantizeRecipe) -> None:
    if recipe.scheme != "W4A16":
        return
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for name in ("hidden_size", "intermediate_size"):
        if config[name] % _GROUP:
            raise BadInput(name, config[name], f"W4A16 shares a scale among {_GROUP} columns; choose another scheme")


def _modifier(recipe: QuantizeRecipe) -> Any:
    """Rounding for FP8_DYNAMIC, which needs no data; GPTQ (Frantar et al. 2023) for the integer schemes."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    kind = QuantizationModifier if recipe.scheme == "FP8_DYNAMIC" else GPTQModifier
    return kind(targets="Linear", scheme=recipe.scheme, ignore=["lm_head"])


def _calibration(tokenizer: Any, rows: Sequence[Mapping[str, Any]], recipe: QuantizeRecipe) -> dict[str, Any]:
    if recipe.scheme == "FP8_DYNAMIC":
        return {}
    from datasets import Dataset

    chosen = rows[: recipe.calibration_rows]
    texts = [tokenizer.apply_chat_template(row["messages"], tokenize=False) for row in chosen]
    encoded = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=_CALIBRATION_TOKENS)
    data = Dataset.from_dict({"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]})
    return {
        "dataset": data,
        "num_calibration_samples": len(chosen),
        "max_seq_length": _CALIBRATION_TOKENS,
        "shuffle_calibration_samples": False,
    }


def _copy_tokenizer(model: Path, into: Path) -> None:
    """Byte for byte: a tokenizer that has been used saves the truncation of its last use with it."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (model / name).exists():
            shutil.copyfile(model / name, into / name)


def _settle(into: Path) -> None:
    """What llm-compressor writes for itself does not belong to the artifact; JSON is sorted, so that bytes are one."""
    (into / "recipe.yaml").unlink(missing_ok=True)
    for path in into.glob("*.json"):
        if not path.name.startswith("tokenizer"):  # those are the base's, byte for byte
            document = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _silence() -> None:
    """Its loggers and bars tell each layer's timing; ours tells what a person wants to know."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    import llmcompressor  # noqa: F401 - it sets its logger up when imported, and is silenced after that
    import transformers
    from loguru import logger

    for library in ("llmcompressor", "compressed_tensors"):
        logger.disable(library)

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
