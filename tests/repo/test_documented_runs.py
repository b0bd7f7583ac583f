"""Each block of commands is run by a test, or needs what no test machine has, which is then named.

What a checkout, a gateway, Redis and a Git remote are enough for is run here, page after page, as a reader would.
Whether the rest would be understood, says test_documented_commands.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ..support import typed_page
from ..support.followed import BESIDE, COMPANY, Followed, lines_of
from ..support.page_blocks import BLOCKS, Block
from ..support.reader_world import ROUTES, Reader, needs, reader, runnable
from ..support.repository import ROOT

SHELL = [block for block in BLOCKS if block.language == "sh"]
FILE = re.compile(r"\A# (\S+\.yaml)\n")


IN_GIT = {"gitops/prod/gateway/routes.d": ROUTES}
FOLLOWED: Mapping[str, Followed] = {
    "docs/how-to/retry-safely.md": Followed(("HTTP/1.1 200 OK",)),
    "docs/how-to/follow-a-request.md": Followed(("model_not_found",), without="ops/|explain"),
    "docs/how-to/observe-the-gateway.md": Followed(
        ("x-request-id: order-4711", '"trace_id"'),
        without="ops/",
        # A line is written after its answer has gone.
        here={"jq ": "until grep -qs order-4711 gateway.log && grep -qs order-4711 audit/*; do sleep 0.1; done; jq "},
    ),
    "docs/how-to/simulate-a-change.md": Followed(("shares    chat-1 90 %", " move"), here=IN_GIT),
    "docs/how-to/replay-decisions.md": Followed(
        ("serve: it answers", "0 do not"),
        here={**IN_GIT, "my-branch": "main", "edited-": "", "replay decisions ": "replay /var/log/nexus/decisions "},
    ),
    "docs/how-to/test-policies.md": Followed(("broken rules were found",)),
    "docs/how-to/add-an-environment.md": Followed(("gateway.image is null",), without="release|status"),
    "docs/how-to/authenticate-callers.md": Followed(("serve: it answers",)),
    "docs/how-to/expose-the-gateway.md": Followed(()),
    "docs/how-to/govern-data.md": Followed(("data", "dev")),
    "docs/how-to/move-from-litellm.md": Followed(("chat",)),
    "docs/how-to/sign-and-verify-models.md": Followed(
        ("signed by",), without="prove|model_signing|bom.cdx", here={"-out environments/keys/2026.pem": "-out made.pem"}
    ),
    "docs/how-to/split-traffic.md": Followed(("shares    chat-1 90 %",)),
    "docs/how-to/ask-from-python.md": Followed(("one two three",)),
    "docs/how-to/run-several-workers.md": Followed(("serve: it answers",)),
    "docs/how-to/build-an-agent.md": Followed(("ok  ",)),
    "docs/how-to/build-an-agent-by-grpc.md": Followed(("ok  ",)),
    "docs/how-to/run-from-kfp-ui.md": Followed(
        ("s3://chats/2026-11.jsonl",), without="run params.json|KFP_|activate", has=COMPANY
    ),
    "docs/how-to/use-the-console.md": Followed(("serve: it answers",)),
    "docs/how-to/run-with-compose.md": Followed(("one two three",), without="stack.sh|test_compose"),
    "docs/how-to/route-between-engines.md": Followed(("serve: it answers", "shares"), here={"routes.yaml": "routes.d"}),
    "docs/how-to/keep-caches-warm.md": Followed(("chat-1", "256 endpoints, queueing")),
    "docs/how-to/try-on-a-cluster.md": Followed(
        ("one two three",), only="^curl", here={"Bearer KEY": "Bearer dev-key"}
    ),
    "gateway/README.md": Followed(("serve: it answers", "HTTP/1.1 200 OK", "revision")),
    # The last, since it leaves its reader on a branch.
    "docs/how-to/promote-and-roll-back.md": Followed(("to staging, stable in dev", "Roll pydoc-chat back", "By hand")),
}
"""Pages whose commands are typed here as they stand, in their order."""
TYPED_BY: Mapping[str, str] = {
    "docs/quickstart.md": "tests/repo/test_quickstart.py",
    "docs/ko/quickstart.md": "tests/repo/test_korean.py",
    "docs/ko/runbook.md": "tests/repo/test_korean.py",
    "docs/ko/terminal.md": "tests/repo/test_korean.py",
    "docs/ko/grpc-code.md": "tests/repo/test_korean.py",
    "docs/how-to/serve-by-*.md": "tests/serving/test_serve_pages.py",
    "docs/how-to/load-and-chaos.md": "tests/ops/test_load.py",
    "docs/examples/README.md": "tests/clients/test_examples.py",
}
"""Pages that a test of their own reads its commands from; the Korean ones are held to be the English ones."""
LEFT: Mapping[str, str] = {
    r"\. \.venv/bin/activate": "a test's programs are found by its own PATH",
    "nexus release pipelines/specs/pydoc-chat.yaml": "trains by the whole recipe; test_demo.py by a short one",
}
"""Lines that nobody types although a checkout is enough for them, and why."""


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    for program in ("bash", "curl", "jq", "openssl", "redis-server"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there: run `make services`")
    with reader(tmp_path_factory.mktemp("reader")) as one:
        yield one


def files_of(page: str) -> dict[str, str]:
    """Of blocks that begin with the path that they are for, but the routes of the gateway that runs."""
    shown = [block.text for block in BLOCKS if block.page == page and block.language == "yaml"]
    return {found[1]: text for text in shown if (found := FILE.match(text)) and "routes" not in found[1]}


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_s_commands_do_what_it_says(page: str, at_home: Reader) -> None:
    told = FOLLOWED[page]
    lines = lines_of(page, told)
    assert lines, "nothing of it is typed: it does not belong here"
    said = at_home.follow("\n".join(lines), told.here, files_of(page))
    assert [expected for expected in told.says if expected not in said] == [], said


PYTHON = {
    "docs/how-to/ask-from-python.md": "one two three",
    "docs/how-to/retry-safely.md": "",
}
"""Page -> what its program prints. Others are of tests/clients (`use-any-client.md`, whose snippets are its files), of
tests/gateway/test_kept_responses.py and of tests/serving/test_grpc.py."""
BEFORE = {
    "docs/how-to/retry-safely.md": (
        "import uuid\nfrom openai import OpenAI\n"
        "client = OpenAI(base_url='http://127.0.0.1:8000/v1', api_key='dev-key')\n"
        "messages = [{'role': 'user', 'content': 'hello'}]\n"
    )
}
"""What a page that shows one call has its reader know."""


@pytest.mark.parametrize("page", PYTHON)
def test_a_page_s_program_does_what_it_says(page: str, at_home: Reader) -> None:
    (program,) = (block.text for block in BLOCKS if block.page == page and block.language == "python")
    assert PYTHON[page] in at_home.run_python(BEFORE.get(page, "") + program)


def test_a_command_that_fails_is_told(at_home: Reader) -> None:
    with pytest.raises(AssertionError, match="no route has that name"):
        at_home.follow("nexus-gateway explain routes.d --model nobody\n", {}, {})


def test_what_a_page_says_and_does_not_come_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "docs/how-to/use-any-client.md"
    told = {"tests/repo/test_documented_runs.py": {page: Followed(("an answer",))}}
    monkeypatch.setattr(typed_page, "BESIDE", told)
    with pytest.raises(AssertionError, match="an answer"):
        typed_page.typed(__file__, page, {}, tmp_path)


def how(block: Block) -> str:
    """By what a block is typed, or why it is not; empty where nobody knows."""
    if block.left_out:
        return "the page says that it is not run"
    typed = next((test for page, test in TYPED_BY.items() if fnmatch(block.page, page)), "")
    if typed:
        return typed
    if block.page in FOLLOWED and FOLLOWED[block.page].typed(block):
        return "here"
    for test, pages in BESIDE.items():
        if block.page in pages and pages[block.page].typed(block):
            return test
    return "" if runnable(block.text) else f"needs {', '.join(sorted(needs(block.text)))}"


def test_each_block_is_tried_by_a_test_or_needs_what_is_named() -> None:
    assert [str(block) for block in SHELL if not how(block)] == []


def typed_lines(block: Block) -> set[str]:
    told = [FOLLOWED[block.page]] if block.page in FOLLOWED else []
    told += [pages[block.page] for pages in BESIDE.values() if block.page in pages]
    return {line for one in told for line in one.typed(block)}


def test_each_line_of_a_block_is_typed_or_says_why_not() -> None:
    blocks = [one for one in SHELL if not one.left_out and not how(one).startswith("needs")]
    blocks = [one for one in blocks if not any(fnmatch(one.page, page) for page in TYPED_BY)]
    left = [line for one in blocks for line in runnable(one.text) if line not in typed_lines(one)]
    assert [line for line in left if not any(re.match(shown, line) for shown in LEFT)] == []
    assert [shown for shown in LEFT if not any(re.match(shown, line) for line in left)] == []


def test_most_blocks_are_typed() -> None:
    ways = [how(block) for block in SHELL]
    run = sum(way == "here" or way.startswith("tests/") for way in ways)
    assert run * 100 >= len(ways) * 70, f"{run} of {len(ways)}"


def test_a_page_is_named_only_where_it_counts() -> None:
    followed = [(page, FOLLOWED[page]) for page in FOLLOWED]
    followed += [(page, told) for pages in BESIDE.values() for page, told in pages.items()]
    assert [page for page, told in followed if not lines_of(page, told)] == []
    assert [test for test in {*TYPED_BY.values(), *BESIDE} if not (ROOT / test).is_file()] == []


def test_who_is_to_type_a_page_reads_it() -> None:
    """By its name, or by what all pages of that test stand in."""
    texts = {test: (ROOT / test).read_text(encoding="utf-8") for test in BESIDE}
    named = [(test, page) for test, pages in BESIDE.items() for page in pages]
    assert [one for one in named if not re.search(rf"{re.escape(one[1])}|, (AT_\w+|BESIDE\[)", texts[one[0]])] == []


def test_a_block_of_a_new_page_is_missed() -> None:
    assert how(Block("docs/how-to/new.md", 1, "sh", "nexus status\n", "Look:")) == ""
    assert how(Block("docs/how-to/new.md", 1, "sh", "kubectl get pods\n", "Look:")) == "needs a cluster"
