"""The runbook has an entry for each alert, and what it says to type is understood."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from nexus_gateway.cli import gateway
from nexus_release.cli import nexus
from nexus_release.config import load_settings
from nexus_release.watching.groups import groups
from nexus_release.watching.rules import anchor

from ..support.prometheus_history import promtool
from ..support.repository import ROOT

RUNBOOK = (ROOT / "docs" / "reference" / "runbook.md").read_text(encoding="utf-8")
NAMES = sorted(
    {alert.name for group in groups("local", load_settings(ROOT, "local")).values() for alert in group.alerts}
)
ENTRIES = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)).splitlines()
WITHIN = re.findall(r"`((?:nexus|kubectl|git) [^`]+)`", RUNBOOK)
TYPED = sorted({line.split(" # ")[0].strip() for line in (*BLOCKS, *WITHIN)})
QUERIES = re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL)
PROGRAMS = {"nexus", "nexus-gateway", "kubectl", "git", "jq", "docker", "ops/alerts/test-alert"}


def test_every_alert_has_an_entry_and_every_entry_an_alert() -> None:
    assert sorted(ENTRIES) == NAMES


def test_every_alert_is_explained_in_korean_by_a_sentence() -> None:
    page = (ROOT / "docs" / "ko" / "alerts.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    assert sorted(rows) == NAMES
    assert [name for name, told in rows.items() if not re.fullmatch(r"[^.]*[가-힣][^다]*.*다\.", told)] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_it_means_and_what_to_do(name: str) -> None:
    told = ENTRIES[name]
    assert re.match(r"\n[A-Z].+\.", told), "what callers see"
    assert re.search(r"^- .+", told, re.MULTILINE), "what to do"


def test_links_within_lead_to_entries() -> None:
    links = re.findall(r"\]\(#(\w+)\)", RUNBOOK)
    assert links
    assert set(links) <= {anchor(name) for name in NAMES}


@pytest.mark.parametrize("line", TYPED)
def test_a_command_is_one_that_there_is(line: str) -> None:
    for words in piped(line):
        assert words[0] in PROGRAMS, words[0]
        group = {"nexus": nexus, "nexus-gateway": gateway}.get(words[0])
        if group is not None and len(words) > 2:
            understood(group, words[1:])


def test_a_command_with_a_slip_is_found() -> None:
    with pytest.raises(click.ClickException):
        understood(nexus, ["rollback", "chat", "--enviroment", "prod"])


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    assert len(rules) > 10
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", "queries.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def piped(line: str) -> list[list[str]]:
    """The words of each program of a line."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(line):
        if word == "|":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def understood(group: click.Group, words: list[str]) -> None:
    """Raises ClickException for an option or argument that the command does not have. Values are not looked at."""
    with click.Context(group) as parent:
        command = group.get_command(parent, words[0])
        assert command is not None, words[0]
        command.make_parser(click.Context(command, parent=parent)).parse_args(list(words[1:]))
