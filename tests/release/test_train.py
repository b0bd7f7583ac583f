"""Training: it learns, it is the same bytes again, and what it leaves is a checkpoint without code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from nexus_release.errors import BadInput
from nexus_release.steps.train import TrainIn, TrainRecipe, train

from ..support.damage import damaged
from ..support.trained import RECIPE, Trained

pytestmark = pytest.mark.train

AGAIN = """
import sys
from nexus_release.steps.train import TrainIn, train
from nexus_release.wiring import Connections, Tools
tools = Tools(Connections(work=sys.argv[1], registry="http://127.0.0.1:9", remote="none"))
print(train(TrainIn.model_validate_json(sys.argv[2]), tools).model_dump_json())
"""


def changed(**fields: object) -> TrainRecipe:
    return RECIPE.model_copy(update=fields)


def test_training_learns(trained: Trained) -> None:
    assert float(trained.out.last_loss) < float(trained.out.first_loss) - 0.5


def test_another_process_makes_the_same_bytes(trained: Trained) -> None:
    given = TrainIn(dataset=trained.dataset, recipe=RECIPE).model_dump_json()
    made = subprocess.run(
        [sys.executable, "-c", AGAIN, trained.tools.connections.work, given],
        capture_output=True, check=True, text=True, env={"OMP_NUM_THREADS": "2", "HOME": "/nonexistent"},
    )  # fmt: skip
    assert json.loads(made.stdout) == trained.out.model_dump(mode="json")


def test_another_seed_is_another_model(trained: Trained) -> None:
    one, other = (trained.train(changed(seed=seed, steps=1)) for seed in (0, 1))
    assert one.model.digest != other.model.digest


def test_the_checkpoint_has_no_code_and_says_where_an_answer_ends(trained: Trained) -> None:
    names = {path.name for path in trained.folder.iterdir()}
    config, generation = (
        json.loads((trained.folder / name).read_text()) for name in ("config.json", "generation_config.json")
    )
    tokenizer = Tokenizer.from_file(str(trained.folder / "tokenizer.json"))
    assert {name.rpartition(".")[2] for name in names} == {"safetensors", "json", "jinja"}
    for stated in (config, generation):
        assert stated["eos_token_id"] == tokenizer.token_to_id("<|im_end|>")
        assert stated["pad_token_id"] == tokenizer.token_to_id("<|endoftext|>")
    assert config["dtype"] == "bfloat16"


@pytest.mark.parametrize(("base", "architecture"), [("scratch://llama", "llama"), ("scratch://qwen2", "qwen2")])
def test_from_nothing_there_are_two_architectures(trained: Trained, base: str, architecture: str) -> None:
    out = trained.train(changed(base=base, steps=1, weights="float32"))
    config = json.loads((trained.tools.store.get(out.model.digest) / "config.json").read_text())
    assert (config["model_type"], config["dtype"], out.source) == (architecture, "float32", base)


def test_a_loss_that_is_no_number_is_told_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    base = damaged(trained.folder, tmp_path / "base", "model.norm.weight", lambda data: b"\x7f" * len(data))
    store = trained.tools.work / "store" / "sha256"
    before = set(store.iterdir())
    with pytest.raises(BadInput, match="the loss is no number at step 1"):
        trained.train(changed(base=base.as_uri(), steps=3))
    assert set(store.iterdir()) == before


def test_too_few_rows_for_one_window_are_told(trained: Trained) -> None:
    with pytest.raises(BadInput, match="training wants more than 100000"):
        trained.train(changed(sequence_tokens=100_000, context_tokens=100_000))


def test_a_model_from_nothing_is_not_taken_as_it_is(trained: Trained) -> None:
    with pytest.raises(BadInput, match=r"train\.steps"):
        trained.train(changed(steps=0))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"steps": -1}, "steps"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"vocabulary": 100}, "vocabulary"),
        ({"hidden": 100, "heads": 8}, "hidden 100 is no even multiple of heads 8"),
        ({"heads": 8, "kv_heads": 3}, "heads 8 is no multiple of kv_heads 3"),
        ({"sequence_tokens": 2000}, "sequence_tokens 2000 is above context_tokens 1024"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TrainRecipe.model_validate(fields)


def test_a_named_base_is_fine_tuned_with_its_own_tokenizer(trained: Trained) -> None:
    tuned = trained.train(changed(base=trained.folder.as_uri(), steps=5))
    folder = trained.tools.store.get(tuned.model.digest)
    assert tuned.source == trained.out.model.digest
    assert tuned.model.digest != trained.out.model.digest
    vocabularies = [Tokenizer.from_file(str(at / "tokenizer.json")).get_vocab() for at in (folder, trained.folder)]
    assert vocabularies[0] == vocabularies[1]
    assert float(tuned.first_loss) < float(trained.out.first_loss) - 0.5  # it goes on from where the base was


def test_what_is_made_from_a_base_keeps_the_base_s_terms(trained: Trained, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(trained.folder, base)
    (base / "LICENSE.txt").write_text("Under these terms.")
    tuned = trained.train(changed(base=base.as_uri(), steps=1))
    assert (trained.tools.store.get(tuned.model.digest) / "LICENSE.txt").read_text() == "Under these terms."


def test_with_no_steps_a_base_is_taken_byte_for_byte(trained: Trained) -> None:
    given = TrainIn(dataset=trained.dataset, recipe=changed(base=trained.folder.as_uri(), steps=0))
    taken = train(given, trained.tools)
    assert taken.model == trained.out.model
    assert (taken.first_loss, taken.last_loss) == ("", "")
