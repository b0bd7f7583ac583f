"""Personal data and secrets in a dataset: refused and counted by their kind, and never repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nexus_release.contract import Pii, check
from nexus_release.wiring import Connections, Tools

from ..support.datasets import chat, rows, run
from ..support.releases import plant_environments

NEXUS = Path(sys.executable).parent / "nexus"


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="http://127.0.0.1:9", remote="none"))


# Written in parts, so that no scanner of this repository takes them for real.
PERSONAL: dict[str, tuple[str, str]] = {
    "address": ("email", "jo.doe+list@mail.acme.co" + ".uk"),
    "address at a sentence's end": ("email", "Write to jo@acme" + ".org."),
    "address in brackets": ("email", "<jo@acme" + ".org>"),
    "international address": ("email", "jö@bücher" + ".de"),
    "card": ("payment card", "4111" + "111111111111"),
    "card in fours": ("payment card", "5555 5555 " + "5555 4444 03/27"),
    "card with dashes": ("payment card", "4111-1111-" + "1111-1111"),
    "American card": ("payment card", "3782 822463 " + "10005"),
    "card after a number": ("payment card", "1234 4111 1111 " + "1111 1111"),
    "IBAN": ("IBAN", "DE89370400440532" + "013000"),
    "IBAN in fours": ("IBAN", "GB82 WEST 1234 " + "5698 7654 32 IS MINE"),
    "IBAN in small letters": ("IBAN", "no93860111" + "17947"),
    "phone": ("phone", "+44 20 7946" + " 0958"),
    "phone without spaces": ("phone", "+821012345" + "678"),
    "phone in brackets": ("phone", "+1 (555) 010" + "-9999"),
    "key": ("private key", "-----BEGIN RSA PRIV" + "ATE KEY-----\nMII"),
    "PGP key": ("private key", "-----BEGIN PGP PRIV" + "ATE KEY BLOCK-----"),
    "AWS": ("API key", "AKIA" + "IOSFODNN7EXAMPLE"),
    "GitHub": ("API key", "ghp_" + "a1B2" * 9),
    "OpenAI": ("API key", "sk-proj-" + "a1B2" * 6),
    "Hugging Face": ("API key", "hf_" + "aBcDeFgHiJ" * 4),
    "Slack": ("API key", "xoxb-" + "123456789012-abc"),
    "Google": ("API key", "AIza" + "a1B2c" * 7),
    "token": ("API key", "eyJ" + "hbGciOiJI.eyJ" + "zdWIiOiIx.c2lnbmF0dXJl"),
}


@pytest.mark.parametrize("name", PERSONAL)
def test_personal_data_is_refused_by_its_kind_and_nowhere_repeated(tools: Tools, name: str) -> None:
    kind, text = PERSONAL[name]
    data = chat(1) + chat(2, "Who?", f"It is {text}") + chat(3, "What?", f"({text})", language=text)
    out, report = run(tools, data)
    assert {(f["row"], f["column"]) for f in report["failures"] if f["rule"] == f"pii: {kind}"} >= {
        (2, "messages"), (3, "messages"), (3, "language"),
    }  # fmt: skip
    assert report["personal_data"] == {"policy": "refuse", "rows": {kind: 2}}
    assert "pii:" in out.reason
    for told in (json.dumps(report, ensure_ascii=False), json.dumps(report), out.model_dump_json()):
        assert text not in told
        assert text[:12] not in told


IMPERSONAL = [
    "matrix @ vector", "@functools.wraps", "x@y", "user@localhost", "jo@example.com", "jo@mail.example.org", "a@b.c1",
    "4111111111111112", "1234567812345670", "0.4111111111111111", "41111111111111111111", "x4111111111111111",
    "DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "AB12 hello world",
    "+1", "+1.23456789", "1+12345678901", "a +1234567", "+1234567890123456", "C++ 20200101", "x+44 20 7946 0958",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "sk-learn", "task-" + "a" * 20, "AKIA" + "a" * 16,
    "https://acme.org/path?a=b&c=d", "2026-11-23T10:00:00+00:00", "6.02214076e+23",
]  # fmt: skip


@pytest.mark.parametrize("text", IMPERSONAL)
def test_what_only_looks_personal_is_kept(text: str) -> None:
    assert not check(chat(1, "What?", text), 100).failures


def test_personal_data_hides_in_no_row_that_is_refused_anyway(tools: Tools) -> None:
    secret = "jo@acme" + ".org"
    hidden = [
        json.dumps([secret]), json.dumps(secret), json.dumps({secret: 1}), json.dumps({"id": {"deep": [secret]}}),
        json.dumps({"id": 4111111111111111}), '{"id": "' + secret, secret, "{" + secret + ": NaN}",
    ]  # fmt: skip
    out, report = run(tools, "\n".join(hidden).encode())
    told = json.dumps(report) + out.reason
    assert report["refused"] == len(hidden)
    assert secret not in told
    assert "4111111111111111" not in told


def test_where_personal_data_is_allowed_it_is_counted(tools: Tools) -> None:
    text = "jo@acme" + ".org"
    out, report = run(tools, rows(9) + chat(10, "Who?", text), pii="allow")
    assert (out.accepted, out.rows, out.refused_rows) == (True, 10, 0)
    assert report["personal_data"] == {"policy": "allow", "rows": {"email": 1}}
    assert text not in json.dumps(report)


RUNS = [
    "a", "1", "4", "@", "-", " ", "+", "eyJ", "4 ", "4444 ", "4111-", "a@", "a@a.", "a@a-", "DE89", "DE89 3704 ", "+1",
    " +1", "+1(", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "eyJaaaaaaaaa.", " eyJaaaaaaaaaaaaa", "sk-", "AKIA", "ghp_a",
    " 4444444444444444444", "hf_", "@a.", ".", "é",
]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pii", ["refuse", "allow"])
def test_long_hostile_runs_are_scanned_in_linear_time(pii: Pii) -> None:
    """200 kB each: what is quadratic would run for hours, and the timeout say so."""
    data = b"".join(chat(n, "What?", (run * 200_000)[:200_000]) for n, run in enumerate(RUNS))
    assert check(data, 200_000, pii).total == len(RUNS)


def test_a_release_of_personal_data_ends_with_3_and_one_line_that_does_not_repeat_it(tmp_path: Path) -> None:
    plant_environments(tmp_path)
    settings = tmp_path / "environments/local/settings.yaml"
    gate = {"min_rows": 1, "max_refused_share": 0.05, "reference": None, "declaration": "optional"}
    settings.write_text(yaml.safe_dump({**yaml.safe_load(settings.read_text()), "gates": {"data": gate}}))
    secret = "4111" + "111111111111"
    (tmp_path / "data.jsonl").write_bytes(rows(9) + chat(9, "My card?", secret))
    (tmp_path / "spec.yaml").write_text("model: chat\ndataset: data.jsonl\n")
    environment = {**os.environ, "NEXUS_STATE": str(tmp_path / "state"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(
        [NEXUS, "release", "spec.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "nexus: validate: 1 of 10 rows break the contract (10.0%), 5.0% are allowed; "
        "first: row 10, messages: pii: payment card"
    )
    written = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert written
    assert not any(secret.encode() in data for data in written)
    assert secret not in done.stdout + done.stderr
