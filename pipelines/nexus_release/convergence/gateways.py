"""Where the gateway of each environment is: a file of a person's or a CI's, beside the code and not in Git.

    staging:
      url: http://nexus-gateway-replicas.nexus.svc.cluster.local:8000
      key: STAGING_GATEWAY_KEY

Decisions are in Git, addresses are not: the same cluster has another one from inside, by a port-forward and by a VPN.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import RootModel, StringConstraints

from nexus_release.documents import read_yaml, validated
from nexus_release.frozen import Frozen
from nexus_release.names import EnvironmentName

KEY = "NEXUS_GATEWAY_KEY"
URL = "NEXUS_GATEWAY"


class GatewayPlace(Frozen):
    url: str
    """`http://host:port`, several with commas between. A headless Service's name stands for every replica."""
    key: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")] = KEY
    """Name of the variable that has the key, of scope `admin`; never the key."""


class Gateways(RootModel[dict[EnvironmentName, GatewayPlace]]):
    """Environment -> where its gateway is."""


def read_gateways(file: Path | None) -> Mapping[str, GatewayPlace]:
    """Empty where there is no file. Raises BadInput or Missing that names it."""
    if file is None:
        return {}
    document = read_yaml(file.parent, file.name)
    return validated(Gateways, document if document is not None else {}, lambda _: str(file)).root


def place_of(
    environment: str, gateways: Mapping[str, GatewayPlace], environ: Mapping[str, str], *, alone: bool = True
) -> GatewayPlace | None:
    """None where nobody names one. NEXUS_GATEWAY is one environment's, so it counts only where one is asked for
    (`alone`)."""
    if environment in gateways:
        return gateways[environment]
    url = environ.get(URL, "")
    return GatewayPlace(url=url) if url and alone else None
