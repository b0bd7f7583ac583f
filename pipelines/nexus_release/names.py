"""Names that people give, and the Kubernetes names made from them."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import StringConstraints

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"
ENVIRONMENT_NAME = r"^[a-z][a-z0-9-]{0,30}$"

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME)]
"""The public alias of a model, as clients write it in `model`."""

EnvironmentName = Annotated[str, StringConstraints(pattern=ENVIRONMENT_NAME)]

_SLUG_LIMIT = 31  # with "-" and 8 hex digits of the release a service name stays within 40 characters


def model_slug(model: str) -> str:
    """A DNS label for `model`: itself where it already is one, else its readable part and a hash.

    Two models never share a slug.
    """
    label = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if not label[0].isalpha():
        label = f"m-{label}"  # a Service's name starts with a letter (RFC 1035)
    if label == model and len(label) <= _SLUG_LIMIT:
        return label
    mark = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{label[: _SLUG_LIMIT - 7].rstrip('-')}-{mark}"


def service_name(model: str, release: str) -> str:
    """The InferenceService of one release of one model, at most 40 characters."""
    return f"{model_slug(model)}-{release[:8]}"
