"""How the commands of a page are typed where its reader stands, and what they then print."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .page_blocks import BLOCKS, Block
from .reader_world import runnable


@dataclass(frozen=True)
class Followed:
    says: tuple[str, ...]
    """What is printed, among other things."""
    only: str = ""
    """Expression of the lines that are typed."""
    without: str = "never"
    """Expression of those among them that need more than this reader has, though not by their program."""
    here: Mapping[str, str] = field(default_factory=dict)
    """What the page writes, and what it is here."""
    has: Collection[str] = ()
    """What `reader_world.needs` names, and this reader has."""

    def typed(self, block: Block) -> list[str]:
        """Its lines that are typed."""
        if block.left_out:
            return []
        lines = runnable(block.text, self.has)
        return [line for line in lines if re.search(self.only, line) and not re.search(self.without, line)]

    def script(self, page: str, here: Mapping[str, str]) -> str:
        """All that is typed of a page, with what only the test knows put in beside what is written down."""
        script = "\n".join(lines_of(page, self))
        for written, found in {**self.here, **here}.items():
            script = script.replace(written, found)
        return script


def lines_of(page: str, told: Followed, blocks: Iterable[Block] = BLOCKS) -> list[str]:
    """All that is typed of a page."""
    return [line for block in blocks if block.page == page and block.language == "sh" for line in told.typed(block)]


REGISTRY, COMPANY = ("a registry",), ("a company's own servers",)
AT_THE_DEMO: Mapping[str, Followed] = {
    "README.md": Followed(
        ("HTTP/1.1 200 OK", "x-nexus-release: ", "2 releases of main", "alias     pydoc-chat@local"),
        without="activate",
        has=REGISTRY,
    ),
    "docs/how-to/release-a-model.md": Followed(("gateway  ", "engine  "), without="nexus release", has=REGISTRY),
    "docs/how-to/prove-a-release.md": Followed(
        ("1 releases of main", "dataset", "registry  models:/pydoc-chat/2"), has=REGISTRY
    ),
    "docs/how-to/sign-and-verify-models.md": Followed(("CycloneDX",), only="bom.cdx"),
    "docs/how-to/check-everything.md": Followed(
        ("ok        gateway", "ok        MLflow", "ok        lock"),
        without=r"--env prod|^set|^export|--only running",
        has=REGISTRY,
    ),
}
"""Page -> how it is followed beside a demo that is up."""

_ENGINES = {"--engines": "--engines --resolve resolve.json"}
"""Their names are a cluster's."""
AT_PROD: Mapping[str, Followed] = {
    "docs/reference/runbook.md": Followed(
        (
            "stable, 80 % of the traffic",
            "  gateway   http://",
            "alias     duty-chat@prod: version 2",
            "does not answer at http://duty-chat-",
            "is served by all 3 replicas",
            "+  weight: 0",
            "of 1440 minutes known",
            "+++ b/environments/staging/models/duty-chat.yaml",
            "alerts of prod are not loaded",
        ),
        without="^ops/",
        # What is wrong is said, and ends with 1: nothing here knows the engines' names, and Prometheus has no rules. A
        # canary that has traffic keeps `prod` from being rolled back.
        here={
            "--engines": "--engines || [ $? = 1 ]",
            "doctor --env prod": "doctor --env prod || [ $? = 1 ]",
            "rollback MODEL --env prod": "rollback MODEL --env staging",
        },
    ),
    "docs/how-to/check-everything.md": Followed(
        ("ok        revision", "ok        MLflow"), only="--env prod", here={"running  ": "running || [ $? = 1 ]"}
    ),
    "docs/how-to/follow-a-request.md": Followed(
        ("(stable, 80 %)", "revision  ", "accepted: within its bounds"), only="^nexus explain"
    ),
    "docs/how-to/keep-the-registry-true.md": Followed(
        ("aliases of prod say what Git says",),
        only="^nexus mirror",
        here={"mirror --env prod  ": "mirror --env prod --resolve resolve.json", "300": "300 --resolve resolve.json"},
    ),
    "docs/how-to/see-whether-it-converged.md": Followed(("is served by all 3 replicas",), only="wait", here=_ENGINES),
    "docs/how-to/know-what-it-costs.md": Followed(("of 43200 minutes known", "tokens: the audit log")),
    "docs/how-to/canary-by-commits.md": Followed(
        ("of 500 requests",), here={"NEXUS_PROMETHEUS=http://prometheus:9090": "NEXUS_PROMETHEUS="}
    ),
    "docs/how-to/add-a-model.md": Followed(
        ("alias     duty-chat@prod: version 2",),
        without="nexus release",
        here={"--env dev": "--env prod", "https://gateway.dev.example.com": "$(echo $NEXUS_GATEWAY | cut -d, -f1)"},
        has=COMPANY,
    ),
    "docs/how-to/add-an-environment.md": Followed(("revision",), only="nexus status", here={"--env qa": "--env prod"}),
}
"""Page -> how it is followed beside an environment that is up."""
BESIDE: Mapping[str, Mapping[str, Followed]] = {
    "tests/e2e/test_demo.py": AT_THE_DEMO,
    "tests/repo/test_duty_runs.py": AT_PROD,
    "tests/clients/test_clients.py": {"docs/how-to/use-any-client.md": Followed(())},
    "tests/gateway/test_certificate_rotation.py": {
        "docs/how-to/mutual-tls.md": Followed(
            ("1 routes", 'gateway_upstream_certificate_refused{upstream="strict"} 0.0', "Verify return code: 0 (ok)"),
            here={"curl --cacert": "! curl -s --cacert"},
        )
    },
    "tests/gateway/test_shadow.py": {
        "docs/how-to/try-a-model-on-live-traffic.md": Followed(("beside-other: ok (aaaaaaaa) beside other (bbbbbbbb)",))
    },
    "tests/ops/test_alertmanager.py": {
        page: Followed(("email: taken", "slack: taken", "webhook: taken"), only="ops/alert", has=COMPANY)
        for page in ("docs/how-to/observe-the-gateway.md", "docs/reference/runbook.md")
    },
    "tests/ops/test_observability_bootstrap.py": {
        "docs/how-to/follow-a-request.md": Followed((), only="observability_bootstrap", has=COMPANY)
    },
    "tests/ops/test_doctor_running.py": {
        "docs/how-to/check-everything.md": Followed(
            ("ok        Grafana", "ok        Alertmanager"), only="^set|^export|^nexus doctor --only running"
        )
    },
    "tests/release/test_backup_servers.py": {"docs/how-to/back-up-and-restore.md": Followed(("redis",))},
    "tests/release/test_drift_watch.py": {
        "docs/how-to/retrain-on-drift.md": Followed(("level      ", "byte for byte"))
    },
    "tests/release/test_registry_passwords.py": {
        "docs/how-to/keep-the-registry-true.md": Followed(('"experiments"',), only="passwords|^export"),
        "docs/how-to/follow-a-request.md": Followed((), only="passwords"),
    },
    "tests/release/test_signed_releases.py": {
        "docs/how-to/sign-and-verify-models.md": Followed(("Verification succeeded",), only="nexus prove|model_signing")
    },
    "tests/serving/test_grpc.py": {"docs/reference/grpc-contract.md": Followed((), only="nexus-worker serve")},
}
"""Test -> page -> the lines of it that this test types, where it has the servers that they ask."""
