"""What an environment says of the console that its gateway serves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from nexus_release.frozen import Section
from nexus_release.gateway_settings import PodResources
from nexus_release.kubernetes_values import Image, Label, Memory
from nexus_release.pod_settings import Peer

Repository = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")]
"""Without a name or a word in it: those are in a Secret."""


CHECKOUT_VARIABLES = frozenset({"GATEWAY_CONSOLE_CHECKOUT", "GATEWAY_CONSOLE_ENVIRONMENT"})
"""Of the gateway, which follow from a checkout."""


class ConsoleCheckout(Section):
    """A container of git-sync beside each gateway, which keeps a checkout that the gateway reads."""

    image: Image
    """git-sync 4 by digest. Nexus names none: mirror and pin the one that you trust."""
    repository: Repository
    """Of `gitops/` and `environments/`, by HTTPS."""
    branch: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
    """That is followed."""
    environment: Label
    """This one, as its folder is named: whose canaries and prices are shown."""
    secret: Label | None
    """With the keys `username` and `password` of somebody who may read; null where everybody may."""
    every_seconds: int = Field(ge=10)
    """Between two looks at the repository."""
    storage: Memory
    """Of the checkout, without its history: a pod that writes more is taken away."""
    resources: PodResources
    """Of that container."""
    egress: tuple[Peer, ...] = Field(min_length=1)
    """Where the repository's server is, as packets reach it."""


class ConsoleSettings(Section):
    """A laptop reads none of it."""

    checkout: ConsoleCheckout | None
    """From which releases, canaries and prices are shown; null: the views say that there is none."""
