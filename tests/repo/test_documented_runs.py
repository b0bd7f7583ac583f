"""Each block of commands is run by a test, or needs what no test machine has, which is then named.

What a checkout, a gateway, Redis and a Git remote are enough for is run here, page after page, as a reader would.
Whether the rest would be understood, says test_documented_commands.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch

import pytest

from ..support.followed import AT_THE_DEMO, DEMO_HAS, Followed, lines_of
from ..support.page_blocks import BLOCKS, Block
from ..support.reader_world import ROUTES, Reader, needs, reader, runnable
from ..support.repository import ROOT

SHELL = [block for block in BLOCKS if block.language == "sh"]
FILE = re.compile(r"\A# (\S+\.yaml)\n")


IN_GIT = {"gitops/prod/gateway/routes.d": ROUTES}
FOLLOWED: Mapping[str, Followed] = {
    "docs/how-to/retry-safely.md": Followed(("HTTP/1.1 200 OK",)),
    "docs/how-to/follow-a-request.md": Followed(
        ("model_not_found", "accepted: within its bounds"), without=r"ops/|3f9a0c1d"
    ),
    "docs/how-to/observe-the-gateway.md": Followed(
        ("x-request-id: order-4711", '"trace_id"'),
        without=r"ops/|OTEL",
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
    "docs/how-to/run-from-kfp-ui.md": Followed((), without="run params.json|KFP_|activate"),
    "docs/how-to/use-the-console.md": Followed(("serve: it answers",)),
    "docs/how-to/run-with-compose.md": Followed(("one two three",), without="stack.sh|test_compose"),
    "docs/how-to/route-between-engines.md": Followed(("serve: it answers", "shares"), here={"routes.yaml": "routes.d"}),
    "docs/how-to/keep-caches-warm.md": Followed(("chat-1",), without="prefix_choice"),
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
HELD_BY: Mapping[str, str] = {
    "docs/how-to/add-an-environment.md": "tests/release/test_status.py",
    "docs/how-to/add-a-model.md": "tests/repo/test_how_tos.py",
    "docs/how-to/back-up-and-restore.md": "tests/release/test_backup_servers.py",
    "docs/how-to/canary-by-commits.md": "tests/release/test_canary_step.py",
    "docs/how-to/check-everything.md": "tests/ops/test_doctor_running.py",
    "docs/how-to/follow-a-request.md": "tests/ops/test_follow_a_request.py",
    "docs/how-to/keep-caches-warm.md": "tests/gateway/test_prefix_routing.py",
    "docs/how-to/keep-the-registry-true.md": "tests/release/test_mirror_served.py",
    "docs/how-to/know-what-it-costs.md": "tests/release/test_cost.py",
    "docs/how-to/mutual-tls.md": "tests/gateway/test_certificate_rotation.py",
    "docs/how-to/observe-the-gateway.md": "tests/ops/test_alertmanager.py",
    "docs/how-to/retrain-on-a-schedule.md": "tests/orchestrators/test_airflow_standalone.py",
    "docs/how-to/retrain-on-drift.md": "tests/release/test_drift_watch.py",
    "docs/how-to/run-from-kfp-ui.md": "tests/orchestrators/test_kfp.py",
    "docs/how-to/run-with-compose.md": "tests/ops/test_compose.py",
    "docs/how-to/see-whether-it-converged.md": "tests/release/test_wait.py",
    "docs/how-to/sign-and-verify-models.md": "tests/release/test_signed_releases.py",
    "docs/how-to/try-a-model-on-live-traffic.md": "tests/gateway/test_shadow.py",
    "docs/how-to/try-on-a-cluster.md": "tests/release/test_overlays.py",
    "docs/how-to/use-any-client.md": "tests/clients/test_clients.py",
    "docs/reference/grpc-contract.md": "tests/serving/test_grpc.py",
    "docs/reference/runbook.md": "tests/ops/test_runbook.py",
}
"""Of pages whose commands want more than this file's reader has (an MLflow, a demo that is up, a Prometheus): the test
that does what they do with the real parts, though not from the page."""


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


def how(block: Block) -> str:
    """By what a block is tried; empty where nobody does."""
    if block.left_out:
        return "the page says that it is not run"
    typed = next((test for page, test in TYPED_BY.items() if fnmatch(block.page, page)), "")
    if typed:
        return typed
    if block.page in FOLLOWED and FOLLOWED[block.page].typed(block):
        return "here"
    if block.page in AT_THE_DEMO and AT_THE_DEMO[block.page].typed(block, DEMO_HAS):
        return "tests/e2e/test_demo.py"
    if not runnable(block.text):
        return f"needs {', '.join(sorted(needs(block.text)))}"
    return HELD_BY.get(block.page, "")


def test_each_block_is_tried_by_a_test_or_needs_what_is_named() -> None:
    assert [str(block) for block in SHELL if not how(block)] == []


def test_most_blocks_are_typed_or_have_a_test_of_their_subject() -> None:
    ways = [how(block) for block in SHELL]
    run = sum(way == "here" or way.startswith("tests/") for way in ways)
    assert run * 10 >= len(ways) * 6, f"{run} of {len(ways)}"


def test_a_page_is_named_only_where_it_counts() -> None:
    ways = {block.page: set() for block in SHELL}  # type: dict[str, set[str]]
    for block in SHELL:
        ways[block.page].add(how(block))
    assert [page for page in FOLLOWED if "here" not in ways[page]] == []
    assert [page for page in AT_THE_DEMO if "tests/e2e/test_demo.py" not in ways[page]] == []
    assert [page for page, test in HELD_BY.items() if test not in ways[page]] == []
    tests = {*TYPED_BY.values(), *HELD_BY.values()}
    assert [test for test in tests if not (ROOT / test).is_file()] == []


def test_a_block_of_a_new_page_is_missed() -> None:
    assert how(Block("docs/how-to/new.md", 1, "sh", "nexus status\n", "Look:")) == ""
    assert how(Block("docs/how-to/new.md", 1, "sh", "kubectl get pods\n", "Look:")) == "needs a cluster"
