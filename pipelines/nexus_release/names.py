"""Names that people give, and the Kubernetes names made from them."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MODEL_NAME = r"^[A-Za-z0-9]+(?:(?:[.:/@]|[_-]+)[A-Za-z0-9]+)*$"
"""Such a name is no path above itself, no URL, no option and no Git revision with a suffix."""
ENVIRONMENT_NAME = r"^[a-z][a-z0-9-]{0,30}$"
LONGEST_MODEL = 128  # characters

MENDS = {
    MODEL_NAME: f"give letters and digits (ASCII), and between them one of . : / @ or some of - and _; at most "
    f"{LONGEST_MODEL} characters",
    ENVIRONMENT_NAME: "give a lower-case letter and then at most 30 lower-case letters, digits and -",
}
"""Pattern -> what to do about a name that it refuses."""

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME, max_length=LONGEST_MODEL)]
"""The public alias of a model, as clients write it in `model`."""

EnvironmentName = Annotated[str, StringConstraints(pattern=ENVIRONMENT_NAME)]


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("keep to one line of printable characters")
    return value


Line = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_printable)]
"""Free text that is written down and shown: an address, a version, the name of a machine."""

_SLUG_LIMIT = 31  # with "-" and 8 hex digits of the release a service name stays within 40 characters
_MARK = 10  # hex digits of the name's hash
_MARKED = re.compile(rf"-[0-9a-f]{{{_MARK}}}\Z")


def model_slug(model: str) -> str:
    """A DNS label for `model`: itself where it already is one, else its readable part and a hash.

    A label that ends as if with a hash gets one too, so that no name can be chosen to meet another's slug. What is
    left is 40 bits of SHA-256; where two of those are equal, `read_plan` refuses the second model.
    """
    label = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    if not label[0].isalpha():
        label = f"m-{label}"  # a Service's name starts with a letter (RFC 1035)
    if label == model and len(label) <= _SLUG_LIMIT and not _MARKED.search(label):
        return label
    mark = hashlib.sha256(model.encode()).hexdigest()[:_MARK]
    return f"{label[: _SLUG_LIMIT - _MARK - 1].rstrip('-')}-{mark}"


def service_name(model: str, release: str) -> str:
    """The InferenceService of one release of one model, at most 40 characters."""
    return f"{model_slug(model)}-{release[:8]}"
