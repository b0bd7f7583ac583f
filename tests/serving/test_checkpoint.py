"""A model folder is read strictly: what is damaged, hostile or not understood is refused by file and name."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from nexus_worker.checkpoint import BadCheckpoint
from nexus_worker.engines.ct2 import Ct2Model

from ..support.checkpoints import CONTEXT, llama_tensors, write_llama

Edit = Callable[[dict[str, Any]], object]
NORM, EMBEDDING, QUERY = "model.norm.weight", "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(BadCheckpoint) as refused:
        Ct2Model.load(folder)
    return str(refused.value)


def edit_header(folder: Path, edit: Edit) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    edit(header)
    made = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(made)) + made + content[8 + length :])


def edit_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_whole_checkpoint_loads_and_scores(folder: Path) -> None:
    model = Ct2Model.load(folder)
    rows = model.log_probs([[1, 2, 3], [4]])
    assert [row.shape for row in rows] == [(3, 512), (1, 512)]
    assert rows[0].dtype == np.float32
    assert np.exp(rows[0]).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("tokens", [[], [512], [-1], [1] * (CONTEXT + 1)], ids=["none", "above", "below", "too many"])
def test_tokens_that_the_model_does_not_have_are_refused(folder: Path, tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="token"):
        Ct2Model.load(folder).log_probs([tokens])


def test_private_copy_is_gone_after_loading(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))
    Ct2Model.load(folder)
    assert list(private.iterdir()) == []


def test_header_that_says_more_bytes_than_there_are_is_refused(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + content[8:])
    assert refusal(folder).startswith("model.safetensors: header: ")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"\x02\0\0\0\0\0\0\0[]", b"\x01\0\0\0\0\0\0\0{"],
    ids=["empty", "no length", "a list", "no end"],
)
def test_file_without_a_header_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert refusal(folder).startswith("model.safetensors: header: ")


def test_deeply_nested_header_is_refused(folder: Path) -> None:
    nested = b'{"a":' * 100_000
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(nested)) + nested)
    assert "header: is no JSON" in refusal(folder)


LIES: dict[str, tuple[Edit, str]] = {
    "wrong size": (lambda h: h[NORM].update(data_offsets=[h[EMBEDDING]["data_offsets"][0], 512]), "do not make"),
    "overlap": (lambda h: h[NORM].update(data_offsets=[0, 512]), "overlaps another tensor"),
    "out of range": (lambda h: h[NORM].update(data_offsets=[2**40, 2**40 + 512]), "belong to no tensor"),
    "shape that overflows": (lambda h: h[NORM].update(shape=[2**40, 2**40]), "do not make"),
    "negative shape": (lambda h: h[NORM].update(shape=[-128]), "shape"),
    "shape of booleans": (lambda h: h[NORM].update(shape=[True] * 4), "shape"),
    "place in fractions": (lambda h: h[NORM].update(data_offsets=[512.0, 1024.0]), "place"),
    "unknown type": (lambda h: h[NORM].update(dtype="F99"), "type 'F99'"),
    "unknown field": (lambda h: h[NORM].update(more=1), "has not exactly"),
    "no object": (lambda h: h.update({NORM: 7}), "has not exactly"),
    "gap": (lambda h: h.pop(NORM), "belong to no tensor"),
}


@pytest.mark.parametrize("lie", LIES)
def test_header_that_lies_is_refused(folder: Path, lie: str) -> None:
    edit, problem = LIES[lie]
    edit_header(folder, edit)
    found = refusal(folder)
    assert found.startswith("model.safetensors: ")
    assert problem in found


def test_tensor_that_ends_beyond_the_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert "ends at byte" in refusal(folder)


def test_bytes_after_the_last_tensor_are_refused(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert "1 bytes belong to no tensor" in refusal(folder)


def test_name_given_twice_is_refused(folder: Path) -> None:
    entry = b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = b"{" + entry + b"," + entry + b"}"
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    assert refusal(folder) == "model.safetensors: a: is given twice"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weight_that_is_no_number_is_refused(folder: Path, value: float) -> None:
    tensors = llama_tensors()
    tensors[QUERY][3, 5] = value
    save_file(tensors, folder / "model.safetensors")
    assert refusal(folder) == f"model.safetensors: {QUERY}: holds NaN or infinity"


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (QUERY, None, "is missing"),
        (QUERY, np.zeros((64, 128), np.float32), "where floats of shape [128, 128] are needed"),
        (QUERY, np.zeros((128, 128), np.int8), "where floats of shape"),
        ("model.layers.2.mlp.up_proj.weight", np.zeros(1, np.float32), "has no place in this architecture"),
        ("model.layers.0.self_attn.q_proj.bias", np.zeros(128, np.float32), "has no place in this architecture"),
    ],
    ids=["missing", "wrong shape", "wrong type", "a layer too many", "a bias too many"],
)
def test_tensor_that_the_architecture_lacks_or_misses_is_refused(
    folder: Path, name: str, change: Any, problem: str
) -> None:
    tensors = {key: value for key, value in {**llama_tensors(), name: change}.items() if value is not None}
    save_file(tensors, folder / "model.safetensors")
    found = refusal(folder)
    assert found.startswith(f"model.safetensors: {name}: ")
    assert problem in found


def test_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(trap),)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    assert refusal(folder).startswith("model.safetensors: header: ")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "weights are read from safetensors only" in refusal(folder)
    assert not trap.exists()


def test_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    assert refusal(folder) == "model.safetensors: link: leads out of the model folder"


def test_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "blob")
    (folder / "model.safetensors").symlink_to("blob")
    assert Ct2Model.load(folder).context_tokens == CONTEXT


def shard(folder: Path, **placed: str) -> None:
    """Two files and their index, in which `placed` may lie."""
    (folder / "model.safetensors").unlink()
    tensors = llama_tensors()
    parts = {"a.safetensors": {NORM}, "b.safetensors": set(tensors) - {NORM}}
    for file, names in parts.items():
        save_file({name: tensors[name] for name in names}, folder / file)
    index = {name: file for file, names in parts.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {**index, **placed}}))


def test_shards_load_as_one(folder: Path) -> None:
    whole = Ct2Model.load(folder).log_probs([[5, 6, 7]])[0]
    shard(folder)
    assert np.array_equal(Ct2Model.load(folder).log_probs([[5, 6, 7]])[0], whole)


@pytest.mark.parametrize(
    ("name", "file", "problem"),
    [
        (NORM, "../model/a.safetensors", "is not that of a file in the model folder"),
        (NORM, "/etc/hostname", "is no safetensors file"),
        (QUERY, "a.safetensors", "is in this file, which"),
        (NORM, "c.safetensors", "is not in"),
        ("model.more", "a.safetensors", "is not in this file"),
    ],
    ids=["traversal", "absolute", "other file", "no file", "no tensor"],
)
def test_index_that_lies_is_refused(folder: Path, name: str, file: str, problem: str) -> None:
    shard(folder, **{name: file})
    assert problem in refusal(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architectures", ["BertModel"]),
        ("architectures", None),
        ("auto_map", {"AutoModelForCausalLM": "evil.Model"}),
        ("hidden_act", "gelu"),
        ("use_sliding_window", True),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", 10**9),
        ("num_key_value_heads", 3),
        ("vocab_size", "512"),
        ("rms_norm_eps", -1.0),
        ("head_dim", 31),
    ],
    ids=str,
)
def test_configuration_that_would_be_computed_wrongly_is_refused(folder: Path, field: str, value: Any) -> None:
    edit_config(folder, **{field: value})
    assert refusal(folder).startswith(f"config.json: {field}: ")


def test_rope_that_is_not_computed_is_refused(folder: Path) -> None:
    edit_config(folder, rope_parameters={"rope_type": "yarn", "factor": 4.0})
    assert refusal(folder) == "config.json: rope_type: 'yarn' is not supported, only 'default' and 'linear'"


def test_tied_projection_that_is_not_the_embedding_is_refused(folder: Path) -> None:
    edit_config(folder, tie_word_embeddings=True)
    assert refusal(folder).startswith("config.json: tie_word_embeddings: ")


def test_tokenizer_with_a_token_that_the_model_lacks_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    fields = json.loads(path.read_text())
    fields["model"]["vocab"]["more"] = 512
    path.write_text(json.dumps(fields))
    assert refusal(folder) == "tokenizer.json: vocabulary: has token 512, the model has 512 tokens, from 0"


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert refusal(folder) == f"{file}: file: is not in {folder}"


def test_worker_ends_with_1_and_says_why(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    program = [str(Path(sys.executable).with_name("nexus-worker")), "serve", str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("nexus-worker: config.json: content: is no JSON")
