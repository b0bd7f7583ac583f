"""The engine computes what transformers computes of the same checkpoint, and decodes what compressed-tensors stores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexus_worker.checkpoint import BadCheckpoint, Checkpoint
from nexus_worker.engines.ct2 import Ct2Model

from ..support.checkpoints import SCHEMES, TEXTS, Checkpoints

pytestmark = pytest.mark.train

_ROUNDING = 1e-4  # of a log-probability, nats: float32 sums in another order


def transformers_log_probs(folder: Path, batch: list[list[int]], weights: Any = None) -> list[Any]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if weights:
        model.load_state_dict(weights, strict=False)
    with torch.no_grad():
        return [torch.log_softmax(model(torch.tensor([ids])).logits[0], -1).numpy() for ids in batch]


def assert_agree(found: list[Any], expected: list[Any], within: float) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=within)


def tokens(model: Ct2Model) -> list[list[int]]:
    return [model.tokenizer.encode(text).ids for text in TEXTS]


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("llama", {}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"head_dim": 64, "num_key_value_heads": 4}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}}),
        ("llama", {"tie_word_embeddings": True, "dtype": "bfloat16"}),
        ("qwen2", {"dtype": "float16"}),
    ],
    ids=["llama", "qwen2", "qwen3", "biases", "wide heads", "linear rope", "tied bfloat16", "float16"],
)
def test_log_probabilities_are_those_of_transformers(
    checkpoints: Checkpoints, architecture: str, config: dict[str, Any]
) -> None:
    folder = checkpoints.base(architecture, **config)
    model = Ct2Model.load(folder)
    assert_agree(model.log_probs(tokens(model)), transformers_log_probs(folder, tokens(model)), _ROUNDING)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_exactly_what_is_stored(checkpoints: Checkpoints, scheme: str) -> None:
    """Against compressed-tensors' own decompression, with scales as float32 so that nothing is rounded there."""
    import torch
    from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize
    from safetensors.torch import load_file

    folder = checkpoints.quantized(scheme)
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    args = QuantizationArgs(**config["config_groups"]["group_0"]["weights"])
    stored, ours = load_file(folder / "model.safetensors"), Checkpoint(folder)
    scales = [name for name in stored if name.endswith(".weight_scale")]
    assert len(scales) == 14
    for name in scales:
        module = name.removesuffix(".weight_scale")
        numbers = stored.get(f"{module}.weight")
        if numbers is None:
            shape = torch.Size(stored[f"{module}.weight_shape"].tolist())
            numbers = unpack_from_int32(stored[f"{module}.weight_packed"], 4, shape)
        theirs = dequantize(numbers, stored[name].float(), args=args, dtype=torch.float32).numpy()
        assert np.array_equal(ours.matrix(module, *theirs.shape), theirs)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_quantized_log_probabilities_are_those_of_the_stored_weights(checkpoints: Checkpoints, scheme: str) -> None:
    """transformers with the stored weights in place of the base's: what remains is rounding."""
    import torch

    folder, base = checkpoints.quantized(scheme), checkpoints.base("qwen2", dtype="bfloat16")
    stored, model = Checkpoint(folder), Ct2Model.load(folder)
    attention = {"q_proj": (128, 128), "k_proj": (64, 128), "v_proj": (64, 128), "o_proj": (128, 128)}
    mlp = {"gate_proj": (256, 128), "up_proj": (256, 128), "down_proj": (128, 256)}
    modules = {
        f"model.layers.{layer}.{block}.{name}": shape
        for layer in range(2)
        for block, parts in (("self_attn", attention), ("mlp", mlp))
        for name, shape in parts.items()
    }
    weights = {f"{name}.weight": torch.from_numpy(stored.matrix(name, *shape)) for name, shape in modules.items()}
    assert_agree(model.log_probs(tokens(model)), transformers_log_probs(base, tokens(model), weights), _ROUNDING)


def test_int8_is_near_and_not_the_same(checkpoints: Checkpoints) -> None:
    folder = checkpoints.base("llama")
    exact, rounded = Ct2Model.load(folder), Ct2Model.load(folder, compute_type="int8")
    for one, other in zip(exact.log_probs(tokens(exact)), rounded.log_probs(tokens(exact)), strict=True):
        divergence = float((np.exp(one) * (one - other)).sum(-1).mean())
        assert 1e-6 < divergence < 0.05


def test_template_and_tokenizer_are_those_of_transformers(checkpoints: Checkpoints) -> None:
    from transformers import AutoTokenizer

    folder = checkpoints.base("qwen2")
    model, theirs = Ct2Model.load(folder), AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": TEXTS[3]}]
    for prompt in (True, False):
        rendered = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        assert model.render_chat(messages, add_generation_prompt=prompt) == rendered
    assert model.codec.encode_chat(messages) == list(
        theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    )


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["config_groups", "group_0", "weights", "symmetric"], False, "zero points are not supported"),
        (["config_groups", "group_0", "weights", "num_bits"], 3, "3-bit int is not supported"),
        (["config_groups", "group_0", "weights", "strategy"], "block", "is none of channel, group, tensor"),
        (["config_groups", "group_1"], {}, "one scheme for all weights"),
        (["config_groups", "group_0", "input_activations"], {"dynamic": False}, "static activation scales"),
        (["quant_method"], "gptq", "is none of compressed-tensors"),
        (["format"], "marlin-24", "is none of"),
        (["quantization_status"], "frozen", "is none of compressed"),
        (["kv_cache_scheme"], {"num_bits": 8}, "is not supported"),
        (["transform_config"], {"config_groups": {"u": {}}}, "is not supported"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_scheme_that_would_be_decoded_wrongly_is_refused(
    checkpoints: Checkpoints, tmp_path: Path, path: list[str], value: Any, problem: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in checkpoints.quantized("W4A16").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    at = config["quantization_config"]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadCheckpoint, match=problem) as refused:
        Ct2Model.load(folder)
    assert refused.value.file == "config.json"


def test_stored_type_that_is_not_the_scheme_s_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in checkpoints.quantized("W8A8").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = (folder / "config.json").read_text().replace('"type": "int"', '"type": "float"')
    (folder / "config.json").write_text(config)
    with pytest.raises(BadCheckpoint, match="type I8 where the scheme has 8-bit float"):
        Ct2Model.load(folder)
