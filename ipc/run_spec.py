"""A run spec as the agent reads it: parsed once, typed from then on.

The keys are those of W&B's launch spec. Where W&B's agent crashes on a null, this accepts it as absent.
"""

import secrets
import shlex
import string
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ipc.errors import InvalidSpec
from ipc.targets import LOCAL_CONTAINER

#: The ``uri`` of a sweep scheduler's item.
SCHEDULER_URI = "placeholder-uri-scheduler"

#: The ``uri`` of a code directory kept as an artifact.
CODE_URI_PREFIX = "wandb-artifact://_id/"

T = TypeVar("T")

_RUN_ID_ALPHABET = string.ascii_lowercase + string.digits


class Overrides(msgspec.Struct, frozen=True):
    """What the submitter changes for this one run."""

    entry_point: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    run_config: dict[str, Any] = {}
    artifacts: dict[str, Any] = {}
    files: dict[str, Any] = {}
    dockerfile: str | None = None
    working_dir: str | None = None


class GitSpec(msgspec.Struct, frozen=True):
    """A git repository; ``version`` is a branch, tag or commit."""

    repo: str | None = None
    version: str | None = None


class RunSpec(msgspec.Struct, frozen=True):
    """One run spec. ``project`` is in lower case, as W&B's agent makes it."""

    entity: str
    project: str
    run_id: str
    resource: str
    resource_args: dict[str, Any] = {}
    overrides: Overrides = Overrides()
    git: GitSpec = GitSpec()
    uri: str | None = None
    job: str | None = None
    docker_image: str | None = None
    name: str | None = None
    author: str | None = None
    sweep_id: str | None = None
    resume_count: int = 0

    @property
    def is_scheduler(self) -> bool:
        """Whether this is a sweep scheduler."""
        return self.uri == SCHEDULER_URI

    @property
    def runs_wandb_scheduler(self) -> bool:
        """Whether this is a sweep scheduler that is started as W&B's client does it: `wandb scheduler SWEEP ...`."""
        entry_point = self.overrides.entry_point
        return self.is_scheduler and len(entry_point) > 2 and entry_point[:2] == ("wandb", "scheduler")

    @property
    def code_artifact(self) -> str | None:
        """The id of the artifact that holds the job's code directory, if there is one."""
        if self.uri is None or not self.uri.startswith(CODE_URI_PREFIX):
            return None
        return self.uri.removeprefix(CODE_URI_PREFIX)


class _Envelope(msgspec.Struct):
    """The keys of a launch spec that an agent reads, as they stand in JSON where they say something."""

    entity: str = ""
    project: str = ""
    run_id: str | None = None
    resource: str = LOCAL_CONTAINER
    resource_args: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    git: GitSpec = GitSpec()
    docker: dict[str, Any] = {}
    uri: str | None = None
    job: str | None = None
    image_uri: str | None = None
    name: str | None = None
    author: str | None = None
    sweep_id: str | None = None
    resume_count: int = msgspec.field(default=0, name="_resume_count")


def parse_run_spec(raw: Mapping[str, Any]) -> RunSpec:
    """Return the run spec in ``raw``, the JSON object popped from a queue.

    A missing ``run_id`` is drawn (8 characters, as W&B's agent draws it), a
    missing ``resource`` is W&B's default ``local-container``.

    Raises:
        InvalidSpec: naming the key that is wrong and why.
    """
    envelope = _convert(_non_empty(raw), _Envelope, "the run spec")
    if not envelope.entity or not envelope.project:
        raise InvalidSpec("The run spec names no entity or no project.", hint="Launch it again with both set.")
    return RunSpec(
        entity=envelope.entity,
        project=envelope.project.lower(),
        run_id=envelope.run_id or draw_run_id(),
        resource=envelope.resource,
        resource_args=envelope.resource_args,
        overrides=_parse_overrides(envelope.overrides, envelope.uri == SCHEDULER_URI),
        git=envelope.git,
        uri=envelope.uri,
        job=envelope.job,
        docker_image=envelope.docker.get("docker_image") or envelope.image_uri,
        name=envelope.name,
        author=envelope.author,
        sweep_id=envelope.sweep_id,
        resume_count=envelope.resume_count,
    )


def draw_run_id() -> str:
    """Return a new run id: eight lower-case letters and digits."""
    return "".join(secrets.choice(_RUN_ID_ALPHABET) for _ in range(8))


def _parse_overrides(overrides: Mapping[str, Any], is_scheduler: bool) -> Overrides:
    parsed = _convert(_non_empty(overrides), Overrides, "overrides")
    if is_scheduler:
        parsed = msgspec.structs.replace(parsed, args=tuple(_unquoted(arg) for arg in parsed.args))
    return parsed


def _non_empty(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What in ``raw`` says something: null does not, nor does an empty text."""
    return {key: value for key, value in raw.items() if value is not None and value != ""}


def _unquoted(word: str) -> str:
    """Return ``word`` without the quotes that W&B's client puts around a scheduler's arguments, for a shell."""
    try:
        words = shlex.split(word)
    except ValueError:
        return word
    return words[0] if len(words) == 1 and word[0] in "'\"" else word


def _convert(raw: dict[str, Any], wanted: type[T], where: str) -> T:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        raise InvalidSpec(f"Something is wrong in {where}: {error}.", hint="Correct it and launch again.") from error
