"""What happens inside a task. KFP ships the source of these functions into the pod, so each imports what it needs.

A task runs two commands of `nexus`: the step, and the making of what a person sees of it. NEXUS_BIN names the program,
NEXUS_WORK the folder that all tasks share.
"""

# No `from __future__ import annotations`: it would not be shipped, and what is checked here is to be what runs there.
from pathlib import Path
from typing import Any


def run_step(
    name: str,
    params: str,
    earlier: dict[str, str],
    flags: list[str],
    page: Any,
    text: Any,
    figures: Any,
    left: Any = None,
) -> tuple[Any, ...]:
    """What the step has found out as JSON, and each yes or no of it. `page` and those after it are KFP's artifacts."""
    import os
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "params.json").write_text(params, encoding="utf-8")
        words = [name, "--params", f"@{here / 'params.json'}", "--work", os.environ["NEXUS_WORK"]]
        fed = []
        for node, out in earlier.items():
            (here / f"{node}.json").write_text(out, encoding="utf-8")
            fed += ["--from", f"{node}=@{here / node}.json"]
        found = ["--out", str(here / "found" / "out.json"), "--flags", str(here / "flags")]
        run_nexus(["step", *words, *fed, *found], trouble_file(params, name))
        run_nexus(["evidence", *words, "--into", str(here / "shown")], trouble_file(params, name))
        show(here / "shown", page, text, figures, left)
        out = (here / "found" / "out.json").read_text(encoding="utf-8")
        return out, *((here / "flags" / flag).read_text() == "true" for flag in flags)


def run_summary(params: str, state: str, message: str, steps: list[str], page: Any, text: Any) -> None:
    """However the release has ended: `state` is the server's word for it, and `message` what it says of a failure.

    Servers whose states are those of ML Metadata say COMPLETE, and RUNNING of whatever has branches in it.
    """
    import os
    import tempfile
    from pathlib import Path

    failed = ""
    kept = [(step, trouble_file(params, step)) for step in steps]
    told = [f"{step}: {path.read_text(encoding='utf-8')}" for step, path in kept if path.exists()]
    if state not in ("SUCCEEDED", "COMPLETE"):
        unsaid = message or "a task was stopped, or ran out of time or memory"
        failed = told[0] if told else "" if state == "RUNNING" else unsaid
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "params.json").write_text(params, encoding="utf-8")
        words = ["--params", f"@{here / 'params.json'}", "--work", os.environ["NEXUS_WORK"]]
        run_nexus(["summary", *words, f"--failed={failed}"], trouble_file(params, "summary"))
        run_nexus(["evidence", "summary", *words, "--into", str(here / "shown")], trouble_file(params, "summary"))
        show(here / "shown", page, text, None, None)
    for _, path in kept:
        path.unlink(missing_ok=True)  # told once: the next run of the same parameters has troubles of its own


def run_nexus(words: list[str], trouble: "Path") -> None:
    """Its log is the task's. Where it fails, its last line is kept, and the task fails with its status."""
    import os
    import subprocess
    import sys

    trouble.parent.mkdir(parents=True, exist_ok=True)
    trouble.unlink(missing_ok=True)
    said = ""
    with subprocess.Popen([os.environ.get("NEXUS_BIN", "nexus"), *words], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            said = line.strip() or said
    if process.returncode:
        trouble.write_text(said or f"exit status {process.returncode}", encoding="utf-8")
        raise SystemExit(process.returncode)


def trouble_file(params: str, name: str) -> "Path":
    """Where the summary looks for what has failed. KFP's own message knows the pod's exit status alone."""
    import hashlib
    import os
    from pathlib import Path
    from urllib.parse import urlsplit

    work = Path(urlsplit(os.environ["NEXUS_WORK"]).path)
    return work / "kfp" / hashlib.sha256(params.encode()).hexdigest()[:16] / f"{name}.trouble"


def show(shown: "Path", page: Any, text: Any, figures: Any, left: Any) -> None:
    """Hands to KFP what `nexus evidence` has written."""
    import json
    import shutil

    shutil.copyfile(shown / "page.html", page.path)
    shutil.copyfile(shown / "page.md", text.path)
    if figures is not None:
        for name, value in json.loads((shown / "figures.json").read_text(encoding="utf-8")).items():
            figures.log_metric(name, value)
    if left is not None:
        what = json.loads((shown / "left.json").read_text(encoding="utf-8"))
        left.uri = what["uri"]
        left.metadata.update(what["metadata"])
