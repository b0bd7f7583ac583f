"""The pipeline written down: KFP's own form, and the objects that a Kubernetes-native KFP reads from Git."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from kfp.compiler import Compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from kfp.dsl.base_component import BaseComponent

from nexus_kfp.pipeline import NAME, TITLE

_MARK = 12  # hex digits


def intermediate_text(pipeline: BaseComponent) -> str:
    """KFP's intermediate representation as YAML. The same graph, settings and kfp give the same bytes."""
    return _compiled(pipeline)


def version_name(intermediate: str) -> str:
    """By its content: a PipelineVersion cannot be changed, and one that is there already is the same."""
    return f"{NAME}-{hashlib.sha256(intermediate.encode()).hexdigest()[:_MARK]}"


def kubernetes_text(pipeline: BaseComponent) -> str:
    """`Pipeline` and `PipelineVersion`, for a server in its Kubernetes-native mode. Their namespace is that of whoever
    applies them: the server's own, or a user's where it has several."""
    options = KubernetesManifestOptions(
        pipeline_name=NAME,
        pipeline_display_name=TITLE,
        pipeline_version_name=version_name(intermediate_text(pipeline)),
        include_pipeline_manifest=True,
    )
    return _compiled(pipeline, options)


def _compiled(pipeline: BaseComponent, options: KubernetesManifestOptions | None = None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        Compiler().compile(
            pipeline,
            str(path),
            kubernetes_manifest_options=options,
            kubernetes_manifest_format=options is not None,
        )
        return path.read_text(encoding="utf-8")
