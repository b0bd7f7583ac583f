"""Who may import whom. The rules are in docs/architecture.md; this file holds them."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.repository import PACKAGES, ROOT, module_name, sources

ALL = [path for package in PACKAGES for path in sources(package)]
HEAVY = {
    "cryptography", "ctranslate2", "datasets", "fastapi", "fsspec", "grpc", "httpx", "huggingface_hub", "kserve",
    "kubernetes", "llmcompressor", "mlflow", "model_signing", "numpy", "openai", "pandas", "pandera", "rich",
    "safetensors", "tokenizers", "torch", "transformers", "uvicorn",
}  # fmt: skip


def imports(path: Path, *, at_import_time: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _top_level(tree.body) if at_import_time else ast.walk(tree)
    return {name for node in nodes for name in _imported(node)}


def _top_level(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What runs when the module is imported, without what only a type checker sees."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _top_level(node.orelse)
        elif isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
            yield from _top_level(node.body)
        else:
            yield node


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:  # `.gateway` is a neighbour's name
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def importers(target: str) -> set[str]:
    return {
        module_name(path)
        for path in ALL
        if any(name == target or name.startswith(target + ".") for name in imports(path))
    }


def test_the_grpc_contract_is_read_where_grpc_is_spoken() -> None:
    """grpcio is 15 MiB, and a thread: a gateway without such an upstream loads none of it."""
    spoken = {
        name for name in importers("nexus_inference") | importers("grpc") if not name.startswith("nexus_inference")
    }
    assert spoken == {
        *(f"nexus_gateway.upstreams.{name}" for name in ("grpc", "grpc_answers", "grpc_body", "grpc_status")),
        *(f"nexus_worker.{name}" for name in ("grpc_server", "grpc_messages", "grpc_refusals")),
        "nexus_worker.engines.mock.faulty_grpc",
    }
    loaded = "import sys, nexus_gateway.gateway; print({'grpc', 'nexus_inference'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_gateway_and_release_never_import_each_other() -> None:
    assert not {name for name in importers("nexus_release") if not name.startswith("nexus_release")}
    assert not {name for name in importers("nexus_gateway") if not name.startswith("nexus_gateway")}


def test_what_is_compiled_is_imported_by_the_gateway_alone_and_no_earlier_than_it_serves() -> None:
    users = importers("nexus_native")
    assert users
    assert all(name.startswith("nexus_gateway.") for name in users)
    for path in sources("nexus_gateway"):
        assert not any(name.startswith("nexus_native") for name in imports(path, at_import_time=True)), path


def test_only_the_evaluator_borrows_the_worker_s_engine() -> None:
    assert {name for name in importers("nexus_worker") if not name.startswith("nexus_worker")} == {
        "nexus_release.adapters.evaluator"
    }


def test_what_all_programs_share_on_a_terminal_imports_click_alone() -> None:
    used = {name.partition(".")[0] for path in sources("nexus_terminal") for name in imports(path)}
    assert used - sys.stdlib_module_names == {"click"}


def test_only_the_wiring_imports_adapters() -> None:
    users = importers("nexus_release.adapters")
    assert {name for name in users if not name.startswith("nexus_release.adapters")} == {"nexus_release.wiring"}


def test_manifests_and_steps_do_no_io_through_orchestrators() -> None:
    sdks = {"kfp", "hera", "airflow", "kserve", "kubernetes"}
    for path in sources("nexus_release"):
        used = {name.split(".")[0] for name in imports(path)} & sdks
        assert not used, f"{module_name(path)} imports {used}"


@pytest.mark.parametrize("path", sources("nexus_release"), ids=module_name)
def test_release_modules_import_nothing_heavy_at_import_time(path: Path) -> None:
    narrates = path.parent.name == "demo"
    heavy = {name.split(".")[0] for name in imports(path, at_import_time=True)} & HEAVY
    assert heavy <= ({"rich"} if narrates else set()), f"import {heavy} inside the function that needs it"


def test_nobody_imports_through_a_top_level_folder() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for path in [*ALL, *ROOT.joinpath("tests").rglob("*.py")]:
        used = {name.split(".")[0] for name in imports(path)} & (folders - {"ops"})
        assert not used, f"{path.relative_to(ROOT)} imports {used}, which would be a second copy of a package"


def test_importing_every_module_writes_nothing_and_opens_no_connection(tmp_path: Path) -> None:
    program = (
        "import sys, socket, importlib\n"
        "def refuse(*_): raise AssertionError('a connection at import time')\n"
        "socket.socket.connect = refuse\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
    )
    names = [module_name(path) for path in ALL if path.name != "__main__.py"]
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "package"), [("dags", "nexus_airflow"), ("workflows", "nexus_hera")])
def test_an_orchestrators_package_imports_nothing_of_nexus_but_the_release(folder: str, package: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    used = {name.partition(".")[0] for path in files for name in imports(path)}
    assert {name for name in used if name.startswith("nexus_")} == {package, "nexus_release"}
    assert not {name for path in files for name in imports(path) if name.startswith("nexus_release.adapters")}
    assert not used & (HEAVY - {"httpx"})


def test_the_kfp_package_imports_nothing_of_nexus_but_the_release() -> None:
    files = [ROOT / "pipelines" / "release_kfp.py", *sorted((ROOT / "pipelines" / "nexus_kfp").rglob("*.py"))]
    used = {name.partition(".")[0] for path in files for name in imports(path)}
    assert {name for name in used if name.startswith("nexus_")} == {"nexus_kfp", "nexus_release"}
    assert not {name for path in files for name in imports(path) if name.startswith("nexus_release.adapters")}
    assert not used & HEAVY


def test_what_kfp_ships_into_pods_needs_nothing_but_python() -> None:
    used = {name.partition(".")[0] for name in imports(ROOT / "pipelines" / "nexus_kfp" / "inside.py")}
    assert used <= sys.stdlib_module_names
