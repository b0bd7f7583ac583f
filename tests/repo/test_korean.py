"""The Korean pages say what the English ones say today, and their commands do what the page promises."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference import nexus_inference_pb2_grpc as pb_grpc

from ..support.gateway import BIN
from ..support.repository import ROOT, tracked_files
from ..support.shell import said_by, with_free_ports

DOCS = ROOT / "docs"
KOREAN = DOCS / "ko"
PAGES = sorted(KOREAN.glob("*.md"))
ENGLISH = {
    "quickstart.md": DOCS / "quickstart.md",
    "runbook.md": DOCS / "reference" / "runbook.md",
    "services.md": DOCS / "reference" / "service-communication.md",
    "grpc-code.md": DOCS / "reference" / "grpc-contract.md",
}
"""Korean page -> the English one whose commands, files and queries it repeats."""
WHOLE = ("quickstart.md", "runbook.md", "services.md")
"""Those that leave nothing out; of the gRPC contract the table of errors stands in English only."""
TOLD = re.compile(r"```(?:sh|yaml|promql|python)\n.*?```", re.DOTALL)
FENCE = re.compile(r"```\w*\n.*?```", re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"([^\n]+)\n+```sh\n(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)
PATH = re.compile(r"(?:dags|docs|environments|gateway|gitops|ops|pipelines|serving|tests|workflows)/[\w./-]*\w")
MARK = "== example"
SECONDS = 240.0


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> set[str]:
    """What stands in code within its sentences and tables."""
    return set(SPAN.findall(FENCE.sub("", text(page))))


def test_each_page_is_found_from_the_first_one() -> None:
    links = set(re.findall(r"\]\((\w[\w-]*\.md)\)", text(KOREAN / "README.md")))
    assert links == {page.name for page in PAGES} - {"README.md"}


def test_each_page_is_found_from_the_documents_and_the_repository() -> None:
    front = text(DOCS / "README.md")
    assert [page.name for page in PAGES if f"(ko/{page.name})" not in front] == []
    assert "(docs/ko/README.md)" in text(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_that_a_page_names_is_there(page: Path) -> None:
    paths = {path for span in named(page) if " " not in span for path in PATH.findall(span)}
    # `<env>` and the like stand for something; what MODEL or a label names is not looked at.
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("name", ENGLISH)
def test_what_is_typed_is_the_same_as_in_english(name: str) -> None:
    english = TOLD.findall(text(ENGLISH[name]))
    assert english or name == "services.md"
    assert TOLD.findall(text(KOREAN / name)) == english


@pytest.mark.parametrize("name", WHOLE)
def test_no_name_of_the_english_page_is_left_out(name: str) -> None:
    assert sorted(named(ENGLISH[name]) - named(KOREAN / name)) == []


def test_every_alert_has_an_entry_with_symptom_check_and_mitigation() -> None:
    heading = re.compile(r"^## (\w+)$", re.MULTILINE)
    page = text(KOREAN / "runbook.md")
    assert heading.findall(page) == heading.findall(text(ENGLISH["runbook.md"]))
    for entry in page.split("\n## ")[1:]:
        told = re.findall(r"^\*\*(.+?)\.\*\*", entry, re.MULTILINE)
        assert told == ["증상", "확인", "조치"], entry.splitlines()[0]
        assert re.search(r"^- .*[가-힣]", entry, re.MULTILINE), entry.splitlines()[0]


def test_waits_are_the_english_ones() -> None:
    def seconds(page: Path, unit: str) -> list[str]:
        return re.findall(rf"\| (\d+) ?{unit} \|", text(page))

    assert (
        seconds(KOREAN / "services.md", "초") == seconds(ENGLISH["services.md"], "s") == ["5", "10", "60", "600", "5"]
    )


def test_calls_and_classes_of_the_grpc_page_are_those_of_the_contract() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`(.*?) \| `(\w+)`(.*?) \|", text(KOREAN / "grpc-code.md"), re.MULTILINE)
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    assert [(call, asked, bool(many), answered, bool(more)) for call, asked, many, answered, more in rows] == [
        (one.name, one.input_type.name, one.client_streaming, one.output_type.name, one.server_streaming)
        for one in service.methods
    ]
    classes = {name for name in named(KOREAN / "grpc-code.md") if "Inference" in name and name.isidentifier()}
    assert classes == {"InferenceStub", "InferenceServicer", "add_InferenceServicer_to_server"}
    assert [name for name in classes if not hasattr(pb_grpc, name)] == []


def programs(block: str) -> set[str]:
    """The first word of each command of a block."""
    bare = re.sub(r"<<'?(\w+)'?(.*?)\n.*?^\1$", r"\2", block, flags=re.DOTALL | re.MULTILINE)
    bare = re.sub(r"(^|\s)#.*", r"\1", bare)
    bare = re.sub(r"'[^']*'", "QUOTED", bare).replace("\\\n", " ")
    bare = re.sub(r"[0-9]?[<>]+ *[^\s&;|)]+", " ", bare)  # where it reads and writes is no program
    commands = re.split(r"\n|&&|\||;|\$\(|\bdo ", bare)
    words = [[word for word in command.split() if not re.match(r"\w+=|[{}()>&]", word)] for command in commands]
    return {told[0].strip('"').rpartition("/")[2] for told in words if told}


def explained() -> set[str]:
    table = text(KOREAN / "terminal.md").partition("## 문서에 나오는 모든 프로그램")[2]
    return {
        name
        for cell in re.findall(r"^\| (`[^|]+`) \| .*[가-힣].* \|$", table, re.MULTILINE)
        for name in SPAN.findall(cell)
    }


def test_every_program_of_the_documents_is_explained() -> None:
    pages = [path for path in tracked_files() if path.suffix == ".md" and path.is_relative_to(DOCS)]
    lacking = {
        f"{page.relative_to(ROOT)}: {program}"
        for page in [*pages, ROOT / "README.md"]
        for block in SHELL.findall(text(page))
        for program in programs(block) - explained()
        if page != KOREAN / "terminal.md"
    }
    assert lacking == set()


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("A=1 .venv/bin/python x.py | jq '.a | .b'\n", {"python", "jq"}),
        (
            "cat > x <<'END'\nnothing here\nEND\nuntil curl a |\n  grep -q \"$(nexus b)\"; do sleep 1; done\n",
            {"cat", "until", "grep", "nexus", "sleep", "done"},
        ),
        ("make up   # git push\n{ sed 1d a; } > b && \\\n  rm c\n", {"make", "sed", "rm"}),
    ],
)
def test_the_programs_of_a_block_are_read_from_it(block: str, found: set[str]) -> None:
    assert programs(block) == found


EXAMPLES = [found for found in EXAMPLE.findall(text(KOREAN / "terminal.md")) if "실행하지 않음" not in found[0]]
ANYWHERE = [(block, promised) for _, block, promised in EXAMPLES if "kubectl" not in block]
BY_KUBECTL = [(block, promised) for _, block, promised in EXAMPLES if "kubectl" in block]


def answered(examples: list[tuple[str, str]], home: Path) -> list[tuple[list[str], str]]:
    """Of each example the lines that the page promises, and what it printed. They run in one shell, as a reader's."""
    for name in ("Makefile", "gitops"):
        (home / name).symlink_to(ROOT / name)
    texts = with_free_ports([block for block, _ in examples])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "NEXUS_", "MAKE"))}
    script = "".join(f"echo; echo '{MARK}'\n{block}" for block in texts)
    said = said_by(script, home, {**clean, "PATH": f"{BIN}:{clean['PATH']}"}, SECONDS)
    printed = said.split(f"\n{MARK}\n")[1:]
    return [(promised.splitlines(), told) for (_, promised), told in zip(examples, printed, strict=True)]


def test_all_but_what_wants_a_cluster_or_a_release_is_run_and_promises_something() -> None:
    whole = SHELL.findall(text(KOREAN / "terminal.md"))
    left_out = [block for block in whole if block not in {block for _, block, _ in EXAMPLES}]
    assert [block.split()[0] for block in left_out] == ["nexus", "kubectl", "docker"]
    assert [block for _, block, promised in EXAMPLES if not promised.strip()] == []
    assert len(BY_KUBECTL) == 1


def test_each_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not there: run `make services`")
    for promised, told in answered(ANYWHERE, tmp_path):
        assert [line for line in promised if line not in told] == [], told


def test_a_folder_is_built_without_a_cluster(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there: run `make services`")
    ((promised, told),) = answered(BY_KUBECTL, tmp_path)
    assert [line for line in promised if line not in told] == []


def test_an_example_that_does_something_else_is_found(tmp_path: Path) -> None:
    ((promised, told),) = answered([("echo one\n", "one\ntwo\n")], tmp_path)
    assert [line for line in promised if line not in told] == ["two"]
