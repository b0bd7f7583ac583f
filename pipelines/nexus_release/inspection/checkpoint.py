"""Holds a checkpoint's folder against what Nexus loads: plain safetensors, JSON, vocabularies, and a tame template."""

from __future__ import annotations

from pathlib import Path

from nexus_release.errors import BadInput
from nexus_release.inspection.fault import Fault
from nexus_release.inspection.files import plain_files
from nexus_release.inspection.settings import read_settings
from nexus_release.inspection.shape import check_shape
from nexus_release.inspection.template import check_templates
from nexus_release.inspection.values import check_values
from nexus_release.inspection.weights import read_weights


def inspect_checkpoint(folder: Path, shown: str) -> None:
    """Reads every file of the folder, and every weight. Raises BadInput that calls the checkpoint `shown` and names the
    file; nothing has been loaded or run then."""
    try:
        files = plain_files(folder)
        settings = read_settings(files)
        check_templates(files, settings)
        tensors = read_weights(files, settings)
        check_shape(settings["config.json"], tensors)
        check_values(tensors)
    except Fault as fault:
        raise BadInput("checkpoint", shown, str(fault)) from None
