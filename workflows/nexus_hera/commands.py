"""The commands of `nexus` that a release runs on a cluster, and what each is given and leaves."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_release.commands.params import EFFECTS as ASK_EFFECTS
from nexus_release.config import Settings
from nexus_release.graph import NODES, feeds
from nexus_release.pods import WORK, Pod, pod_of, pod_with
from nexus_release.step import Resources

TMP = "/tmp"  # noqa: S108 - a path in the container, on a volume of its own
ASK, SUMMARY = "ask", "summary"

_RUN = f"{WORK}/argo/{{{{workflow.name}}}}"  # a step's output may be larger than a parameter of Argo's
FLAGS = f"{TMP}/flags"
_PARAMS = f"{_RUN}/params.json"
GIVEN, ASKED = "{{workflow.parameters.params}}", f"@{_PARAMS}"
_DAY = "-".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")
SMALL = Resources(cpu="250m", memory="512Mi")
_SMALL_SECONDS = 300  # what reads or writes a few files may take


@dataclass(frozen=True)
class Found:
    """An output parameter."""

    name: str
    path: str
    default: str | None = None
    """Where the command was skipped: Argo fails a workflow that asks a skipped node for what has no default."""


@dataclass(frozen=True)
class Command:
    name: str
    words: tuple[str, ...]
    """After `nexus`."""
    pod: Pod
    retries: int
    seconds: int
    given: tuple[str, ...] = ()
    """Its input parameters."""
    found: tuple[Found, ...] = ()


def step_command(name: str, settings: Settings) -> Command:
    """Steps hand each other files on the claim, and the engine the flags by which it branches."""
    node = NODES[name]
    earlier = [f"--from={fed}=@{_RUN}/{fed}.json" for fed in sorted(feeds(node))]
    words = ("step", name, "--params={{inputs.parameters.params}}", *earlier, f"--out={_RUN}/{name}.json")
    return Command(
        name=name,
        words=(*words, f"--flags={FLAGS}"),
        pod=pod_of(node.step, settings),
        retries=node.step.retries,
        seconds=node.step.timeout_seconds,
        given=("params",),
        found=tuple(Found(field, f"{FLAGS}/{field}", default="false") for field in _asked_of(name)),
    )


def ask_command(environment: str, settings: Settings) -> Command:
    """What the release file on main asks for, at the moment of the run."""
    dataset = ("--dataset={{workflow.parameters.dataset}}", f"--day={_DAY}")
    words = ("params", "{{workflow.parameters.spec}}", f"--env={environment}", *dataset)
    return Command(
        name=ASK,
        words=(*words, "--from-main", f"--out={_PARAMS}"),
        pod=pod_with(ASK_EFFECTS, SMALL, "release", settings),
        retries=1,
        seconds=_SMALL_SECONDS,
        found=(Found("params", _PARAMS),),
    )


def summary_command(params: str, settings: Settings) -> Command:
    """`params`: GIVEN, or ASKED for, by file: the handler would wait for a parameter of a task that has failed."""
    words = ("summary", f"--params={params}", "--failures={{workflow.failures}}", "--json")
    return Command(SUMMARY, words, pod_with((), SMALL, "release", settings), retries=1, seconds=_SMALL_SECONDS)


def _asked_of(name: str) -> list[str]:
    """The fields of a step's output that guards ask for."""
    asked = (guard.partition(".") for node in NODES.values() for guard in node.when)
    return sorted({field for head, _, field in asked if head == name})
