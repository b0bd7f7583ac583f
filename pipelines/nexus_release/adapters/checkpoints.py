"""Checkpoints as transformers loads them: from files, without the network, and without code of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_release.errors import BadInput
from nexus_release.inspection.checkpoint import inspect_checkpoint


def load(folder: Path, dtype: str, shown: str) -> tuple[Any, Any]:
    """(tokenizer, model). Raises BadInput, which calls the checkpoint `shown`; it is inspected before it is loaded."""
    inspect_checkpoint(folder, shown)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=dtype
        )
    except Exception as error:  # a model's files can be wrong in as many ways as its loader has
        raise BadInput("base model", shown, f"transformers cannot load it: {_first_line(error)}") from error
    if not tokenizer.chat_template:
        raise BadInput("base model", shown, "it has no chat template; add its chat_template.jinja")
    return tokenizer, model


def chat_texts(tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each row as the checkpoint's own template writes it. Raises BadInput where the template refuses a row."""
    texts = []
    for row in rows:
        try:
            texts.append(tokenizer.apply_chat_template(row["messages"], tokenize=False))
        except Exception as error:  # a template may raise anything, and does so for roles that it does not know
            raise BadInput("row", row["id"], f"the base's chat template refuses it: {_first_line(error)}") from error
    return texts


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
