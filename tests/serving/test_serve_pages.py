"""The pages of how a model is served, followed: each block of commands as it stands, but with free ports."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..support.checkpoints import write_llama
from ..support.client import installed
from ..support.repository import ROOT
from ..support.shell import said_by, with_free_ports

PAGES = sorted((ROOT / "docs" / "how-to").glob("serve-by-*.md"))
FILE = re.compile(r"```yaml\n# (\S+)\n(.*?)```", re.DOTALL)
BLOCK = re.compile(r"^([^\n]*)\n+```sh\n(.*?)```", re.DOTALL | re.MULTILINE)
SEEN_FROM_THE_ROOT = (".venv", ".venv-bento", ".venv-litellm", ".venv-vllm", "docs", "ops")
NEEDED = {".venv-bento": "setup-bento", ".venv-litellm": "setup-litellm"}
SECONDS = 240.0  # a predictor imports KServe, a bento is built: on a machine that does other things
SAYS = {
    "serve-by-bentoml.md": ['"content":'],
    "serve-by-litellm.md": ["revision  "],
    "serve-by-worker.md": [
        "vllm:num_requests_running",
        "release",
        "[DONE]",
        "ok     a conversation goes on",
        "predictions",
    ],
}
"""Page -> what each of its blocks prints, in their order."""


@dataclass(frozen=True)
class Block:
    page: Path
    number: int
    announced: str
    """The line before it."""
    script: str

    @property
    def runs(self) -> bool:
        return "not run" not in self.announced.lower()

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.number}"


def blocks_of(page: Path) -> list[Block]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(page, number, announced, script) for number, (announced, script) in enumerate(found)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("served") / "model")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A reader's folder: what a checkout has, without what the reader leaves in it."""
    for name in SEEN_FROM_THE_ROOT:
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def follow(block: Block, home: Path, model: Path, seconds: float = SECONDS) -> str:
    """What it prints. What it has started has ended, however it ends."""
    files = dict(FILE.findall(block.page.read_text(encoding="utf-8")))
    script, *texts = with_free_ports([block.script, *files.values()])
    for name, text in zip(files, texts, strict=True):
        (home / name).write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_"))}
    environment |= {"MODEL": str(model), "NEXUS_STATE": str(home / "state")}
    return said_by(f"{script}wait\n", home, environment, seconds)


def test_every_page_is_listed_and_says_of_every_block_whether_it_was_run() -> None:
    guide = (ROOT / "docs" / "how-to" / "serve-models.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"({page.name})" not in guide] == []
    whole = sum(page.read_text(encoding="utf-8").count("```sh\n") for page in PAGES)
    assert len(BLOCKS) == whole
    assert {page: len(says) for page, says in SAYS.items()} | {"serve-by-vllm.md": 1} == {
        page.name: count for page in PAGES if (count := sum(block.runs for block in blocks_of(page)))
    }


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.runs and block.page.name in SAYS], ids=str)
def test_a_block_does_what_its_page_says(block: Block, home: Path, model: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not there: run `make services`")
    for name, target in NEEDED.items():
        if name in block.script:
            installed(ROOT / name, target)
    runnable = [one for one in blocks_of(block.page) if one.runs]
    assert SAYS[block.page.name][runnable.index(block)] in follow(block, home, model)


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_vllm_s_block_does_so_where_vllm_is(home: Path, model: Path) -> None:
    if not (ROOT / ".venv-vllm").exists():
        pytest.skip(".venv-vllm is not there: run `make setup-vllm`")
    (block,) = (one for one in BLOCKS if one.page.name == "serve-by-vllm.md" and one.runs)
    assert '"content":' in follow(block, home, model, 500)


def test_a_command_that_fails_is_told(home: Path, model: Path) -> None:
    broken = Block(PAGES[0], 0, "", "false\n")
    with pytest.raises(AssertionError):
        follow(broken, home, model)
