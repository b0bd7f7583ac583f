"""What the steps need of the world. Each port has one adapter under `adapters/`, chosen in `wiring.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nexus_release.convergence.seen import Replica
from nexus_release.digests import Listing
from nexus_release.frozen import Artifact, Frozen
from nexus_release.trust.keys import PublicKey

if TYPE_CHECKING:
    from datetime import datetime

    from numpy import ndarray

    from nexus_release.canary.figures import Arms, Looked


class Store(Protocol):
    """Content-addressed folders. What `get` returns has been hashed again, and is to be read only."""

    def put(self, folder: Path) -> Artifact:
        """Copies `folder` in, whole or not at all; the same content twice is one entry. Files become 0644."""

    def get(self, digest: str) -> Path:
        """Raises Missing, or DigestMismatch where the bytes have changed."""

    def listing(self, digest: str) -> Listing:
        """The entry's files, each hashed again. Raises what `get` raises."""

    def uri(self, digest: str) -> str:
        """Where the artifact is, as the registry records it."""


class Signatures(Protocol):
    """Signatures of the store's entries. They are no part of an entry, since the same bytes may be signed again."""

    def of(self, digest: str) -> Mapping[str, bytes]:
        """Fingerprint of the key -> bundle, of an entry of the store. Nothing of it is verified here."""

    def keep(self, digest: str, fingerprint: str, bundle: bytes) -> None:
        """One bundle a key; a later one takes an earlier one's place, whole or not at all."""

    def own_key(self) -> PublicKey | None:
        """The key that this machine has made for itself; None where it has signed nothing yet."""


class Signer(Protocol):
    @property
    def key(self) -> PublicKey:
        """The public half of what signs."""

    def sign(self, digest: str, listing: Listing) -> bytes:
        """A bundle over the files of a store's entry. Not deterministic: a curve's signature has a random part."""


class Datasets(Protocol):
    def read(self, uri: str) -> bytes:
        """Raises BadInput for an unknown scheme, Missing for no such file, Unreachable after bounded retries."""


class BaseModels(Protocol):
    def fetch(self, uri: str, into: Path) -> None:
        """Puts a checkpoint's files into `into`: safetensors, JSON and text only; code and pickles are refused."""

    def config(self, uri: str) -> Mapping[str, Any]:
        """The checkpoint's `config.json`, without its weights. Raises BadInput, Missing or Unreachable."""


@dataclass(frozen=True)
class TrainingResult:
    first_loss: float
    last_loss: float


class Trainer(Protocol):
    def train(self, *, rows: Sequence[Mapping[str, Any]], base: Path | None, recipe: Any, into: Path) -> TrainingResult:
        """Writes a transformers checkpoint into `into`. Deterministic: same rows and recipe, same bytes."""


class Quantizer(Protocol):
    def quantize(self, *, model: Path, rows: Sequence[Mapping[str, Any]], recipe: Any, into: Path) -> None:
        """Writes a compressed-tensors checkpoint into `into`. Deterministic."""


@dataclass(frozen=True)
class RowScore:
    """One model on one row, teacher-forced. The three are equally long, one entry for each predicted position."""

    tokens: Sequence[int]
    """The true next token."""
    log_probabilities: Sequence[float]
    """Natural; what the model gave to it. May be no number, where a checkpoint is broken."""
    choices: Sequence[int]
    """The token that the model found most likely."""


Chat = Sequence[Mapping[str, str]]
"""Messages with `role` and `content`."""


@dataclass(frozen=True)
class Question:
    """One question with the answers to choose from."""

    asked: Chat
    """What the model is shown, as a chat that waits for the assistant."""
    choices: Sequence[str]


class LoadedModel(Protocol):
    """All methods raise BadInput where the checkpoint's template refuses a chat."""

    def score(self, chats: Sequence[Chat], *, max_tokens: int) -> list[RowScore]:
        """Scores of the beginning of every chat, as the checkpoint's own template writes it."""

    def weigh(self, questions: Sequence[Question]) -> list[list[float]]:
        """Natural log-likelihood of each choice after its question. May be no number."""

    def answer(self, chats: Sequence[Chat], *, max_tokens: int) -> list[str]:
        """The text that the model finds most likely token by token (greedy)."""


class Evaluator(Protocol):
    @property
    def engine(self) -> str:
        """Name and version, as the record keeps it."""

    def load(self, model: Path, *, compute_type: str) -> LoadedModel:
        """Raises BadInput for a checkpoint that the engine cannot load."""


@dataclass(frozen=True)
class TensorPair:
    """One tensor of a base, and of a checkpoint made from it; float32, or integers where the model has such."""

    name: str
    base: ndarray[Any, Any]
    candidate: ndarray[Any, Any]
    """Decoded, where it is quantized."""
    numbers: ndarray[Any, Any] | None = None
    """As they are stored, before the scale; None where it is not quantized."""
    scales: ndarray[Any, Any] | None = None
    """Broadcastable to the numbers."""
    range: tuple[float, float] = (0.0, 0.0)
    """Least and largest number that can be stored."""
    group: int | None = None
    """Neighbours in a row that share a scale; None where a row or all do."""


@dataclass(frozen=True)
class CheckpointPair:
    base_bytes: int
    """Of all tensors together."""
    candidate_bytes: int
    missing: Sequence[str]
    """Tensors that only the base has."""
    added: Sequence[str]
    """Tensors that only the other has."""
    tensors: Iterator[TensorPair]
    """What both have, read one by one. Raises BadInput for a tensor that is not what it says."""


class Weights(Protocol):
    def pair(self, base: Path, candidate: Path) -> CheckpointPair:
        """Both without an engine, decoded as the serving engine does it. Raises BadInput."""


class DriftEvents(Protocol):
    """Who is told of a declared drift, so that a release follows. Raises Unreachable, Missing or NexusError."""

    def knows(self, model: str, report: str) -> bool:
        """Whether the event of this report has arrived there before."""

    def tell(self, model: str, extra: Mapping[str, str]) -> None:
        """`extra`: `report`, its digest; `at`, a time; and where a dataset is named, `dataset`."""


class RegisteredVersion(Frozen):
    version: int
    run: str
    uri: str
    """`models:/name/version`."""
    logged_model: str
    """Id of what MLflow holds of the model besides; `nexus explain` takes it too."""


@dataclass(frozen=True)
class RegistryEntry:
    model: str
    release: str
    artifact_uri: str
    artifact_digest: str
    dataset_digest: str
    dataset_rows: int
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    content: str
    """The record's content as canonical JSON, kept as the run's artifact."""


@dataclass(frozen=True)
class RegistryCopy:
    """What the registry holds of a release besides Git."""

    version: RegisteredVersion
    artifact_digest: str
    dataset_digest: str
    content: bytes
    """The run's `content.json`."""


class TaggedVersion(Frozen):
    """What a version says of itself, by tags that people can change; a tag that is not there is empty."""

    version: int
    release: str
    artifact: str
    commit: str
    """Of main, that brought the record; `link` writes it."""


class Registry(Protocol):
    """All methods raise Unreachable after bounded retries where the registry does not answer."""

    def register(self, entry: RegistryEntry) -> RegisteredVersion:
        """One version per release id, however often it is called."""

    def find(self, model: str, release: str) -> RegisteredVersion | None: ...

    def copy(self, model: str, release: str) -> RegistryCopy | None: ...

    def tagged(self, model: str, version: int) -> TaggedVersion | None: ...

    def link(self, model: str, version: int, commit: str) -> None:
        """Writes down in the version which commit of main brought its record."""

    def aliases(self) -> dict[str, dict[str, int]]:
        """Model -> alias -> version, of every model that Nexus has registered."""

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Whoever comes last counts: a registry has no compare-and-set. Raises Missing for no such version."""

    def drop_alias(self, model: str, alias: str) -> None:
        """Does nothing where there is none."""


class Health(Protocol):
    """An environment's gateway and engines, asked how they are."""

    def replicas(self) -> tuple[Replica, ...]:
        """Each replica of the gateway, by address; one that does not answer says so. Nothing is raised."""

    def revisions(self) -> frozenset[str]:
        """What all of them serve. Raises Unreachable where one does not answer."""

    def answers(self, url: str, model: str) -> bool:
        """Whether the engine at a route's address is healthy and serves `model`."""


class Figures(Protocol):
    """What the gateways of an environment have counted of two releases."""

    def look(self, arms: Arms, labels: Mapping[str, str], since: datetime, until: datetime, seconds: int) -> Looked:
        """Blocks of traffic since the weight was set, none of which is another one's. Raises Unreachable."""


@dataclass(frozen=True)
class Commit:
    """One commit to be made: `edit` changes the files of a clone and returns the paths that it meant to change."""

    message: str
    trailers: Mapping[str, str]
    edit: Callable[[Path], Sequence[str]]
    """A path that ends with `/` stands for everything below it."""


@dataclass(frozen=True)
class Landed:
    branch: str
    commits: tuple[str, ...]
    """Full hashes, oldest first; empty where main already said the same."""
    landed: bool
    """True where main now says it."""


@dataclass(frozen=True)
class LoggedCommit:
    hash: str
    subject: str
    time: str
    """UTC offset as committed, RFC 3339."""
    trailers: Mapping[str, str]


class History(Protocol):
    """Main's history at one moment. `HEAD` is its newest commit."""

    def commits(self, *paths: str) -> list[LoggedCommit]:
        """Newest first, and bounded; only those that changed one of `paths`, where some are named."""

    def file(self, commit: str, path: str) -> bytes | None: ...

    def folder(self, commit: str, path: str) -> dict[str, bytes]:
        """Base name -> bytes of the files directly in `path`; empty where there is no such folder."""

    def paths(self, commit: str, folder: str) -> list[str]:
        """Every file below `folder`, under the repository's root; empty where there is no such folder."""


class Repository(Protocol):
    """The Git remote. Nothing outside a temporary clone is written, nothing is ever forced."""

    def propose(
        self,
        branch: str,
        commits: Sequence[Commit],
        *,
        check: Callable[[Path, Path], None],
        lands: Callable[[Path], bool],
    ) -> Landed:
        """Makes `commits` on top of main in a fresh clone, runs `check(before, after)` on the two trees, pushes the
        branch, and where `lands(before)` moves main from the value that it had. On a race all is done again on the
        new main.

        Where an edit changes nothing its commit is left out. Raises Unreachable, RemoteRefused, Conflict (after
        bounded tries), NexusError for an edit that changes more than it says, or what `edit` and `check` raise; but
        for Unreachable, main is then what others have made it.
        """

    def checkout(self, into: Path, revision: str = "main") -> str:
        """Writes the files of `revision` (main, a commit of main, or a branch) into the empty folder `into`; returns
        the commit's full hash. Raises Missing or Unreachable."""

    def head(self) -> str:
        """The full hash of main."""

    def departed(self, revision: str) -> str:
        """The full hash of the newest commit that main and `revision` share: of a commit of main itself."""

    def history(self) -> AbstractContextManager[History]: ...


@dataclass(frozen=True)
class Opened:
    """A pull request."""

    number: int
    url: str
    what: Literal["opened", "updated", "unchanged"]


class Forge(Protocol):
    """Where people review branches. All methods raise Unreachable after bounded tries, RemoteRefused or Missing."""

    def propose(self, branch: str, title: str, text: str) -> Opened:
        """Opens the pull request of a branch that is pushed already, into main; one that is open gets title and text.
        `text` is Markdown."""

    def approvals(self, branch: str, commit: str) -> frozenset[str] | None:
        """Who has agreed to the branch at `commit`, without its author; None where it has no open pull request there.
        A branch of that name in somebody's copy of the repository is another."""
