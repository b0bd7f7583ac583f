"""Tiny checkpoints with random weights from a fixed seed.

Nothing is trained: what is tested is that the same numbers come out of every loader. `write_llama` needs no torch;
`Checkpoints` makes them as transformers and llm-compressor write them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 512
CONTEXT = 512
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SCHEMES = ("FP8_DYNAMIC", "W8A8", "W4A16")
TEXTS = (
    "Return the number of items of an object: a sequence (string, bytes, tuple, list or range) or a collection.",
    "Open a file and return a file object; if the file cannot be opened, an error is raised.",
    "def greet(name):\n    return f'Hello, {name}, how are you?'",
    "안녕하세요, 세계. Größe, naïve, 日本語.",
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPE: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_SPREAD = 0.2  # of the weights: wide, so that the distribution is far from flat and errors show


def write_llama(into: Path, **config: Any) -> Path:
    """A float32 Llama with everything that a worker reads; `config` overrides fields of its configuration."""
    into.mkdir()
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        **SHAPE,
        **config,
    }
    (into / "config.json").write_text(json.dumps(fields))
    (into / "tokenizer_config.json").write_text(json.dumps({"bos_token": END, "eos_token": STOP}))
    (into / "chat_template.jinja").write_text(TEMPLATE)
    make_tokenizer().save(str(into / "tokenizer.json"))
    save_file(llama_tensors(), into / "model.safetensors")
    return into


def llama_tensors() -> dict[str, Any]:
    random = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return random.normal(0, _SPREAD, shape).astype(np.float32)

    tensors = {"model.embed_tokens.weight": weight(VOCABULARY, 128), "lm_head.weight": weight(VOCABULARY, 128)}
    for number in range(SHAPE["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        rows = {"q_proj": 128, "k_proj": 64, "v_proj": 64, "o_proj": 128}
        tensors |= {f"{layer}.self_attn.{name}.weight": weight(size, 128) for name, size in rows.items()}
        tensors |= {f"{layer}.mlp.{name}.weight": weight(256, 128) for name in ("gate_proj", "up_proj")}
        tensors[f"{layer}.mlp.down_proj.weight"] = weight(128, 256)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}.{norm}.weight"] = 1 + weight(128)
    return {**tensors, "model.norm.weight": 1 + weight(128)}


def make_tokenizer() -> Any:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS * 2, trainer)
    return made


class Checkpoints:
    """Makes each checkpoint when it is first asked for, and keeps it for the session. Tests do not change them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def base(self, architecture: str, *, dtype: str = "float32", **config: Any) -> Path:
        """`architecture` is `llama`, `qwen2` or `qwen3`; `config` overrides fields of the configuration."""
        changes = json.dumps(config, sort_keys=True)
        return self._once(f"{architecture}-{dtype}-{changes}", lambda at: _make(architecture, dtype, config, at))

    def quantized(self, scheme: str, *, architecture: str = "qwen2", **config: Any) -> Path:
        base = self.base(architecture, dtype="bfloat16", **config)
        return self._once(f"{base.name}-{scheme}", lambda at: _quantize(base, scheme, at))

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        folder = self._root / "".join(letter if letter.isalnum() else "-" for letter in name)
        if not folder.exists():
            make(folder)
        return folder


def _make(architecture: str, dtype: str, changes: Mapping[str, Any], into: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

    kinds = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
    config = kinds[architecture](**{**SHAPE, "initializer_range": _SPREAD, "dtype": dtype, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # norms and biases start as ones and zeros, which would hide a swap
        for name, parameter in model.named_parameters():
            if name.endswith(("norm.weight", "bias")):
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.to(getattr(torch, dtype)).save_pretrained(into)
    _wrapped_tokenizer().save_pretrained(into)


def _wrapped_tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(), bos_token=END, eos_token=STOP, pad_token=END)
    wrapped.chat_template = TEMPLATE
    return wrapped


def _quantize(base: Path, scheme: str, into: Path) -> None:
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and llm-compressor warn of their own deprecations
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import QuantizationModifier

        model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
        oneshot(model=model, recipe=QuantizationModifier(targets="Linear", scheme=scheme, ignore=["lm_head"]))
        model.save_pretrained(into, save_compressed=True)
    _wrapped_tokenizer().save_pretrained(into)
