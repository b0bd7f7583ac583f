"""A remote, a store and releases whose every digest is true, unless they are told to lie."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nexus_release.adapters.store import FolderStore
from nexus_release.capacity.planner import place
from nexus_release.capacity.target import FitGate
from nexus_release.code import environment_digest, steps_digest
from nexus_release.config import load_settings
from nexus_release.digests import digest_json
from nexus_release.frozen import Artifact
from nexus_release.proposals import admission, admission_branch, land_or_leave
from nexus_release.record import (
    CodeContent,
    Content,
    DatasetContent,
    GateResult,
    Record,
    record_text,
    release_id,
)
from nexus_release.steps.evaluate import SCORED, choose
from nexus_release.suite import held_out_task, suite_document
from nexus_release.trust.signed import sign_release
from nexus_release.wiring import Connections, Tools

from .releases import SHAPE, make_record
from .remotes import Remote
from .repository import ROOT

MODEL = "pydoc-chat"
TARGET = load_settings(ROOT, "prod").target
ROWS = [{"id": str(n), "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(5)]


class World:
    """A remote, a store, and releases whose every digest is true."""

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.folder, self.remote = folder, remote
        self.store = FolderStore(folder / "work" / "store")
        self.connections = Connections(
            work=(folder / "work").as_uri(), registry="http://127.0.0.1:9", remote=str(remote.path)
        )

    def entry(self, files: dict[str, bytes]) -> Artifact:
        folder = self.folder / "made"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        try:
            return self.store.put(folder)
        finally:
            shutil.rmtree(folder)

    def record(self, seed: int, **lies: Any) -> Record:
        """`lies` replace parts of the content before the id is made: `rows`, `suite`, `asked`, `high`, `reported`,
        `placed`."""
        made = make_record(MODEL, seed)
        lines = [json.dumps(row).encode() + b"\n" for row in ROWS]
        dataset = self.entry({"train.jsonl": b"".join(lines[:3]), "holdout.jsonl": b"".join(lines[3:])})
        chosen = choose(ROWS[3:], 2)
        suite = lies.get("asked", suite_document(chosen, held_out_task(chosen, 2), (), SCORED))
        gates = [
            result.model_copy(update={"evidence": dataset.digest})
            if result.gate == "data"
            else self.result(result, lies.get("high", "0.01243"), suite, lies.get("reported"), lies.get("placed"))
            for result in made.content.gates
        ]
        content = Content(
            **{
                **dict(made.content),
                "dataset": DatasetContent(
                    digest=dataset.digest,
                    source=made.content.dataset.source,
                    contract=made.content.dataset.contract,
                    rows=lies.get("rows", len(ROWS)),
                    declaration=made.content.dataset.declaration,
                ),
                "base": self.entry({"model.safetensors": b"base" * seed}).digest,
                "artifact": self.entry({"model.safetensors": bytes(seed) * (3 << 19), "config.json": b"{}"}),
                "bill_of_materials": self.entry({"bom.cdx.json": b"{}"}).digest,
                "code": CodeContent(steps=steps_digest(), environment=environment_digest()),
                "evaluation": made.content.evaluation.model_copy(
                    update={"suite": lies.get("suite", digest_json(suite))}
                ),
                "gates": tuple(gates),
            }
        )
        return Record(content=content, observed=made.observed)

    def result(
        self,
        made: GateResult,
        high: str,
        suite: Mapping[str, Any],
        reported: str | None,
        placed: Mapping[str, int] | None,
    ) -> GateResult:
        """With evidence that says what the result says, unless `reported` or `placed` say otherwise."""
        figures = tuple(
            figure.model_copy(update={"high": high} if figure.name == "perplexity" else {}) for figure in made.figures
        )
        shown = [{**figure.model_dump(), **({"value": reported} if reported else {})} for figure in figures]
        report: dict[str, Any] = {"figures": shown}
        settings = {"max_rows": "2", "max_questions": "2"}
        if made.gate == "fit":
            report |= {"scheme": "W8A8", "target": TARGET.model_dump()}
            report |= {"placement": asdict(place(SHAPE, "W8A8", TARGET, FitGate())) | (placed or {})}
            settings = {"min_context_tokens": "512", "weight_only": "refuse"}
        files = {"report.json": json.dumps(report).encode()}
        if made.gate == "quality":
            files["suite.json"] = json.dumps(suite).encode()
        evidence = self.entry(files).digest
        return made.model_copy(update={"figures": figures, "evidence": evidence, "settings": settings})

    def land(self, record: Record) -> str:
        release, tools = release_id(record.content), Tools(self.connections)
        sign_release(record.content, tools.store, tools.signatures, tools.signer)
        commits = admission("local", MODEL, release, record_text(record).encode())
        land_or_leave(tools.repository, "local", admission_branch("local", MODEL, release), commits)
        return release

    def verify(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "NEXUS_WORK": self.connections.work,
            "NEXUS_REMOTE": self.connections.remote,
            "MLFLOW_TRACKING_URI": self.connections.registry,
        }
        nexus = Path(sys.executable).parent / "nexus"
        return subprocess.run([nexus, "verify", *words], env=environment, capture_output=True, text=True)

    def lies(self, *words: str) -> dict[str, str]:
        """Subject -> link and detail, of every lie; the command has ended as it must."""
        done = self.verify(*words, "--json")
        found = [one for one in json.loads(done.stdout)["findings"] if one["state"] == "lies"]
        assert done.returncode == (1 if found else 0), done.stderr
        return {one["subject"]: f"{one['link']}: {one['detail']}" for one in found}
