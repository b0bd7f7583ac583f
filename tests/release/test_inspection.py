"""Hostile and broken checkpoints are refused by their bytes: before a library loads them, and with nothing run."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nexus_release.adapters.base_models import UriBaseModels
from nexus_release.adapters.store import FolderStore
from nexus_release.errors import BadInput, DigestMismatch
from nexus_release.inspection.checkpoint import inspect_checkpoint

from ..support.checkpoints import SCHEMES, Checkpoints, write_llama

WEIGHTS = "model.safetensors"
EMBEDDING = "model.embed_tokens.weight"
Damage = Callable[[Path], object]


class Canary:
    """A pickle of it makes a folder when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("executed",)


def put(name: str, data: bytes | str) -> Damage:
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def setting(name: str, **fields: Any) -> Damage:
    def change(folder: Path) -> None:
        path = folder / name
        document = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(document | fields))

    return change


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    """The header of the weights written anew; what `change` gives, where it gives a text, is the header."""

    def damage(folder: Path) -> None:
        said, data = split(folder / WEIGHTS)
        made = change(said)
        text = (made if isinstance(made, str) else json.dumps(said)).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data)

    return damage


def split(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def tensor(name: str = EMBEDDING, **fields: Any) -> Damage:
    return header(lambda said: said[name].update(fields))


def values(change: Callable[[np.ndarray[Any, Any]], object], name: str = EMBEDDING) -> Damage:
    def damage(folder: Path) -> None:
        said, data = split(folder / WEIGHTS)
        begin, end = said[name]["data_offsets"]
        floats = np.frombuffer(data[begin:end], dtype="<f4").copy()
        change(floats)
        text = json.dumps(said).encode()
        (folder / WEIGHTS).write_bytes(
            struct.pack("<Q", len(text)) + text + data[:begin] + floats.tobytes() + data[end:]
        )

    return damage


def sharded(index: Callable[[dict[str, str]], object] = lambda places: None, *, twice: bool = False) -> Damage:
    """Two shards with an index that is true before `index` changes it."""

    def damage(folder: Path) -> None:
        said, data = split(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        names = sorted(said.keys() - {"__metadata__"})
        halves = [names[::2], [*names[1::2], *(names[:1] if twice else [])]]
        places: dict[str, str] = {}
        for number, part in enumerate(halves, 1):
            file, at, made, body = f"model-{number}.safetensors", 0, {}, b""
            for name in part:
                piece = data[slice(*said[name]["data_offsets"])]
                made[name] = said[name] | {"data_offsets": [at, at + len(piece)]}
                at, body = at + len(piece), body + piece
                places[name] = file
            text = json.dumps(made).encode()
            (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + body)
        index(places)
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": places}))

    return damage


def archive(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as made:
            made.writestr("../../escaped", "x")
    else:
        with tarfile.open(fileobj=out, mode="w") as tar:
            member = tarfile.TarInfo("../../escaped")
            member.size = 600
            tar.addfile(member, io.BytesIO(bytes(600)))
    return out.getvalue()


def drop(said: dict[str, Any], name: str) -> None:
    del said[name]


def overlap(said: dict[str, Any]) -> None:
    first, second = sorted((said[n] for n in said if n != "__metadata__"), key=lambda t: t["data_offsets"])[:2]
    size = second["data_offsets"][1] - second["data_offsets"][0]
    second["data_offsets"] = [first["data_offsets"][0], first["data_offsets"][0] + size]


def template(text: str) -> Damage:
    return put("chat_template.jinja", text)


DEEP = b'{"a":' * 100 + b"1" + b"}" * 100
CASES: dict[str, tuple[Damage, str]] = {
    # other things under harmless names
    "pickle as JSON": (put("generation_config.json", pickle.dumps(Canary(), 4)), "a pickle"),
    "pickle of protocol 2 as a vocabulary": (put("spiece.model", pickle.dumps(Canary(), 2)), "a pickle"),
    "pickle as weights": (put("adapter.safetensors", pickle.dumps(Canary())), "says that its header has"),
    "zip as a vocabulary": (put("vocab.model", archive("zip")), "a zip archive"),
    "tar as text": (put("notes.txt", archive("tar")), "a tar archive"),
    "gzip as text": (put("merges.txt", b"\x1f\x8b\x08\x00"), "a gzip file"),
    "program as a template": (put("chat_template.jinja", b"\x7fELF\x02"), "a program"),
    "script as text": (put("vocab.txt", b"#!/bin/sh\nmkdir executed\n"), "a script"),
    "gguf as a vocabulary": (put("vocab.model", b"GGUF\x03"), "a GGUF file"),
    "pickle by its name": (put("pytorch_model.bin", pickle.dumps(Canary())), "is none of"),
    "source": (put("modeling_evil.py", "import os; os.mkdir('executed')"), "is none of"),
    "byte code": (put("evil.pyc", b"\xa7\r\r\n"), "is none of"),
    "library": (put("kernel.so", b"\x7fELF"), "is none of"),
    "requirements": (put("requirements.in", "evil-package"), "is none of"),
    # things that are no plain files
    "link": (lambda folder: (folder / "vocab.json").symlink_to("/etc/passwd"), "a symbolic link"),
    "folder": (lambda folder: (folder / "onnx").mkdir(), "a folder"),
    "pipe": (lambda folder: os.mkfifo(folder / "vocab.txt"), "a device, pipe or socket"),
    "name with a line break": (put("a\nb.json", "{}"), "other characters"),
    "name like an option": (put("-rf.json", "{}"), "other characters"),
    # configuration
    "auto_map": (setting("config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
    "auto_map inside": (setting("config.json", text_config={"deep": [{"auto_map": {}}]}), "auto_map"),
    "auto_map of the tokenizer": (setting("tokenizer_config.json", auto_map={}), "auto_map"),
    "trust_remote_code": (setting("config.json", trust_remote_code=True), "trust_remote_code"),
    "custom_pipelines": (setting("config.json", custom_pipelines={"a": {"impl": "x.Y"}}), "custom_pipelines"),
    "_target_": (setting("generation_config.json", _target_="os.system"), "_target_"),
    "requirements in JSON": (setting("config.json", requirements=["evil @ http://x"]), "requirements"),
    "key twice": (put("config.json", '{"model_type": "llama", "model_type": "evil"}'), "stands twice"),
    "NaN": (put("config.json", '{"rope_theta": NaN}'), "NaN is no JSON number"),
    "nested": (put("config.json", DEEP), "nested deeper than 64"),
    "nested out of reach": (put("config.json", b'{"a":' * 100_000), "nested deeper|no JSON"),
    "a list": (put("config.json", "[]"), "no JSON object"),
    "other encoding": (put("config.json", '{"a": "é"}'.encode("latin-1")), "no UTF-8 at byte 7"),
    "NUL": (put("merges.txt", "a\0b"), "NUL"),
    "large": (put("config.json", json.dumps({"a": "x" * (1 << 20)})), "larger than"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "no safetensors"),
    # headers
    "empty": (put(WEIGHTS, b""), "too short"),
    "header that is longer than the file": (put(WEIGHTS, struct.pack("<Q", 1 << 40) + b"{}"), "says that its header"),
    "header that is no JSON": (header(lambda said: "{"), "its header is no JSON"),
    "header that is a list": (header(lambda said: "[]"), "no JSON object"),
    "name twice": (header(lambda said: f"{{{json.dumps(EMBEDDING)}: 1, {json.dumps(EMBEDDING)}: 2}}"), "stands twice"),
    "metadata that is no text": (header(lambda said: said.update(__metadata__={"a": 1})), "__metadata__"),
    "overlap": (header(overlap), "overlaps|gap|end at"),
    "gap": (header(lambda said: drop(said, "model.norm.weight")), "gap|end at byte"),
    "bytes after the end": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"PK\x03\x04"),
        "end at byte",
    ),
    "bytes missing": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4]),
        "end at byte",
    ),
    "unknown dtype": (tensor(dtype="OBJECT"), "unknown dtype"),
    "dtype of another size": (tensor(dtype="F64"), "is F64 of shape"),
    "negative shape": (tensor(shape=[-512, -128]), "has the shape"),
    "boolean shape": (tensor(shape=[True, 65536]), "has the shape"),
    "huge shape": (tensor(shape=[1 << 60, 1]), "has the shape"),
    "offsets backwards": (tensor(data_offsets=[8, 0]), "data_offsets"),
    "offsets beyond": (tensor(data_offsets=[1 << 40, (1 << 40) + 512 * 128 * 4]), "gap|end at"),
    "one offset": (tensor(data_offsets=[0]), "data_offsets"),
    "field too many": (tensor(loader="x"), "is not described by"),
    # indexes
    "index that climbs out": (sharded(lambda p: p.update({EMBEDDING: "../../secret.safetensors"})), "no file of it"),
    "index with an absolute path": (sharded(lambda p: p.update({EMBEDDING: "/etc/passwd"})), "no file of it"),
    "index in capitals": (sharded(lambda p: p.update({EMBEDDING: "MODEL-1.safetensors"})), "no file of it"),
    "index of another file": (sharded(lambda p: p.update({EMBEDDING: "config.json"})), "no file of it"),
    "index of what is not there": (sharded(lambda p: p.update(extra="model-1.safetensors")), "which it is not"),
    "index that leaves one out": (sharded(lambda p: p.pop(EMBEDDING)), "does not name"),
    "one tensor in two shards": (sharded(twice=True), "has too"),
    "two files without an index": (
        lambda folder: (sharded()(folder), (folder / f"{WEIGHTS}.index.json").unlink()),
        "no index says",
    ),
    # values
    "NaN among the weights": (values(lambda floats: floats.__setitem__(77, np.nan)), "no number at element 77"),
    "infinity": (values(lambda floats: floats.__setitem__(0, -np.inf)), "no number at element 0"),
    "nothing but zeros": (values(lambda floats: floats.fill(0)), "nothing but zeros"),
    "nothing but minus zeros": (values(lambda floats: floats.fill(-0.0)), "nothing but zeros"),
    # configuration against weights
    "another vocabulary": (setting("config.json", vocab_size=7), "has 7 x 128"),
    "more layers": (setting("config.json", num_hidden_layers=3), "has 3 layers, the weights have 2"),
    # templates
    "template of Python's insides": (template("{{ ''.__class__.__mro__[1].__subclasses__() }}"), "reaches for"),
    "the same by brackets": (template("{{ x['__globals__'] }}"), "reaches for"),
    "the same by a filter": (template("{{ x|attr('__class__') }}"), "filter attr"),
    "template that includes": (template("{% include '/etc/passwd' %}"), "reads another file"),
    "template that imports": (template("{% import 'os' as os %}{{ os.system('x') }}"), "reads another file"),
    "template that calls": (template("{{ open('/etc/passwd').read() }}"), "calls open"),
    "template that loops": (
        template("{% for a in range(9) %}" * 9 + "x" + "{% endfor %}" * 9),
        "nested deeper than 8",
    ),
    "template that is none": (template("{% for %}"), "no Jinja"),
    "template in the tokenizer's settings": (
        setting("tokenizer_config.json", chat_template="{{ cycler.__init__.__globals__.os }}"),
        "reaches for",
    ),
    "one of several templates": (
        setting("tokenizer_config.json", chat_template=[{"name": "tool", "template": "{{ eval('1') }}"}]),
        "calls eval",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("sound") / "llama")


@pytest.fixture
def folder(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound checkpoint of its own; what is executed would leave something in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(sound, tmp_path / "checkpoint"))


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_plain_weights_is_refused_and_not_run(folder: Path, case: str) -> None:
    damage, told = CASES[case]
    damage(folder)
    with pytest.raises(BadInput, match=told) as refused:
        inspect_checkpoint(folder, "hostile")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_a_sound_checkpoint_is_taken(folder: Path) -> None:
    inspect_checkpoint(folder, "sound")


def test_shards_with_a_true_index_are_taken(folder: Path) -> None:
    sharded()(folder)
    inspect_checkpoint(folder, "sound")


@pytest.mark.parametrize(
    "text",
    [
        "{% macro shout(x) %}{{ x | upper }}{% endmacro %}{{ shout(messages[0]['content'].strip()) }}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}",
        "{% set ns = namespace(a=1) %}{{ raise_exception('no') if not messages else strftime_now('%Y') }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | list | tojson(indent=2) }}",
    ],
)
def test_templates_as_published_models_have_them_are_taken(folder: Path, text: str) -> None:
    (folder / "chat_template.jinja").write_text(text)
    inspect_checkpoint(folder, "sound")


@pytest.mark.train
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_quantization_writes_is_taken(scheme: str, tmp_path: Path) -> None:
    made = Checkpoints(tmp_path).quantized(scheme)
    (made / "recipe.yaml").unlink()  # llm-compressor's own note, which our quantizer does not keep
    inspect_checkpoint(made, "quantized")


@pytest.mark.parametrize(("dtype", "bits"), [("BF16", 0x7FC0), ("F16", 0x7C00), ("F8_E4M3", 0x7F), ("F8_E5M2", 0x7C)])
@pytest.mark.parametrize("sound_too", [True, False])
def test_each_kind_of_float_has_its_own_way_to_be_no_number(
    folder: Path, dtype: str, bits: int, sound_too: bool
) -> None:
    kind = np.dtype("<u2" if dtype in ("BF16", "F16") else "u1")
    data = np.full(64, 1, dtype=kind)
    if not sound_too:
        data[63] = bits
    text = json.dumps({"a": {"dtype": dtype, "shape": [8, 8], "data_offsets": [0, data.nbytes]}}).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data.tobytes())
    if sound_too:
        inspect_checkpoint(folder, "sound")
    else:
        with pytest.raises(BadInput, match="a is no number at element 63"):
            inspect_checkpoint(folder, "broken")


def test_a_base_is_inspected_before_anybody_loads_it(folder: Path, tmp_path: Path) -> None:
    setting("config.json", auto_map={"AutoModel": "evil.Model"})(folder)
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(BadInput, match="auto_map"):
        UriBaseModels("http://127.0.0.1:9", tmp_path / "store").fetch(folder.as_uri(), into)


def test_an_archive_is_never_unpacked(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(archive("zip"))
    with pytest.raises(BadInput, match="archives are never unpacked"):
        UriBaseModels("http://127.0.0.1:9", tmp_path / "store").fetch((tmp_path / "model.zip").as_uri(), tmp_path)


def test_a_version_whose_address_and_digest_disagree_is_refused(tmp_path: Path, sound: Path) -> None:
    stored = FolderStore(tmp_path / "store").put(sound).digest
    models = UriBaseModels("http://127.0.0.1:9", tmp_path / "store")
    into = tmp_path / "into"
    into.mkdir()
    source = f"nexus-store:///{stored.replace(':', '/')}"
    with pytest.raises(DigestMismatch, match="its source"):
        models.take("models:/m/1", source, "sha256:" + "0" * 64, into)
    assert list(into.iterdir()) == []
    models.take("models:/m/1", source, stored, into)
    assert (into / WEIGHTS).exists()


@pytest.mark.parametrize(
    "source",
    [
        "nexus-store:///sha256/../../etc",
        "nexus-store:///sha256/" + "a" * 63,
        "nexus-store://host/sha256/" + "a" * 64,
        "file:///etc",
        "http://10.0.0.1/model",
        "s3://bucket/a/../../b",
        "s3://bucket/%2e%2e/b",
        "s3://bucket/%252e%252e/b",
        "s3://user:secret@bucket/b",
        "s3://bucket/b?versionId=1",
        "s3://bucket/b#x",
        "S3://bucket/b",
        "s3://bucket/a\n",
        "runs:/1/model",
        "",
    ],
)
def test_a_registry_leads_only_to_our_own_stores(tmp_path: Path, source: str) -> None:
    with pytest.raises(BadInput, match="which is no store of ours"):
        UriBaseModels("http://127.0.0.1:9", tmp_path / "store").take("models:/m/1", source, None, tmp_path)
