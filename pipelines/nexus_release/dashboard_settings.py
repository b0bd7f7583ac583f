"""Where an environment's dashboards lead to: `dashboards` of its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from nexus_release.frozen import Section

_PART = r"[^\s{}$]"  # no variables of Grafana's


class DashboardSettings(Section):
    """What a click on a figure opens."""

    history: Annotated[str, StringConstraints(pattern=rf"^https?://{_PART}+\{{path\}}{_PART}*$")]
    """URL at which a forge lists the commits of the main branch that touched `{path}`."""
    kibana: Annotated[str, StringConstraints(pattern=rf"^https?://{_PART}*[^\s{{}}$/]$")]
    """Base URL of Kibana, with its base path where it has one."""
