"""The base of every typed value that is written to a file or passed between steps."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from nexus_release.digests import Digest


class Frozen(BaseModel):
    """Immutable, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Section(Frozen):
    """A part of the settings. The docstrings of its fields are what editors show."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Artifact(Frozen):
    """A folder in the content-addressed store."""

    digest: Digest
    bytes: int
    files: int
