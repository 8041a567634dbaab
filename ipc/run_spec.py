"""A run spec as the agent reads it: parsed once, typed from then on.

The keys are those of W&B's launch spec. Where W&B's agent crashes on a null, this accepts it as absent.
"""

import re
import secrets
import shlex
import string
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from ipc.errors import InvalidSpec
from ipc.spec_limits import check_limits, shown
from ipc.targets import LOCAL_CONTAINER
from ipc.type_errors import read_type_complaint

#: The ``uri`` of a sweep scheduler's item.
SCHEDULER_URI = "placeholder-uri-scheduler"

#: The ``uri`` of a code directory kept as an artifact.
CODE_URI_PREFIX = "wandb-artifact://_id/"

#: Addresses in ``uri`` that are a git repository's: of the great hosts, by git's own protocols, or with its suffix.
_GIT_URI = re.compile(
    r"https?://(www\.)?(github\.com|gitlab\.com|bitbucket\.org)/[^/\s]+/\S+"
    r"|(ssh|git|git\+ssh)://\S+|[\w.-]+@[\w.-]+:\S+|(https?|file)://\S+\.git/?",
    re.IGNORECASE,
)
#: The page of a branch, a tag or a commit: what follows the version is left to the job's command.
_PAGE_OF_TREE = re.compile(
    r"(?P<repo>https?://[^/\s]+/[^/\s]+/[^/\s]+?)(/-)?/tree/(?P<version>[^/\s]+)/?", re.IGNORECASE
)
#: The address of a run's page, W&B's form.
_RUN_URI = re.compile(r"https?://[^/\s]+/[^/\s]+/[^/\s]+/runs/[^/?#\s]+\S*", re.IGNORECASE)

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
    """One run spec. ``project`` is in lower case, as W&B's agent makes it.

    ``user_id`` is the number of the user in an image that is built for it, None for the usual one.
    ``additional_services`` are manifests of what is to be there beside a job in a cluster (W&B's, 0.21.1).
    """

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
    user_id: int | None = None
    name: str | None = None
    author: str | None = None
    sweep_id: str | None = None
    resume_count: int = 0
    python_version: str | None = None
    additional_services: tuple[dict[str, Any], ...] = ()

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
    def names_a_run(self) -> bool:
        """Whether ``uri`` is the address of a run's page."""
        return self.uri is not None and bool(_RUN_URI.fullmatch(self.uri))

    @property
    def code_artifact(self) -> str | None:
        """The id of the artifact that holds the job's code directory, if there is one."""
        if self.uri is None or not self.uri.startswith(CODE_URI_PREFIX):
            return None
        return self.uri.removeprefix(CODE_URI_PREFIX)


#: A name, or another text of one line: a variable of a process holds it, and a sentence can quote it.
_Line = Annotated[str, msgspec.Meta(max_length=4096)]
_Name = Annotated[str, msgspec.Meta(max_length=1024)]
_Word = Annotated[str, msgspec.Meta(max_length=128)]


class _Docker(msgspec.Struct):
    docker_image: _Line | None = None
    user_id: int | None = None


class _Registry(msgspec.Struct):
    url: _Line | None = None


class _Git(msgspec.Struct):
    repo: _Line | None = None
    version: _Line | None = None


class _AdditionalService(msgspec.Struct):
    config: dict[str, Any] | None = None


class _Envelope(msgspec.Struct):
    """The keys of W&B's launch spec with their types, as they stand in JSON where they say something.

    What nothing here reads is typed as well: it goes to the journal, and back into the queue of a preempted run.
    """

    entity: _Word = ""
    project: _Word = ""
    run_id: _Word | None = None
    resource: _Word = LOCAL_CONTAINER
    resource_args: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    git: _Git = msgspec.field(default_factory=_Git)
    docker: _Docker = msgspec.field(default_factory=_Docker)
    uri: _Line | None = None
    job: _Line | None = None
    image_uri: _Line | None = None
    name: _Name | None = None
    author: _Name | None = None
    sweep_id: _Word | None = None
    resume_count: int = msgspec.field(default=0, name="_resume_count")
    python_version: _Word | None = None
    template_variables: dict[str, Any] = {}
    priority: int | None = None
    queue_entity: _Word | None = None
    registry: _Registry | None = None
    builder: dict[str, Any] = {}
    additional_services: list[_AdditionalService] = []


class _OverridesEnvelope(msgspec.Struct):
    overrides: Overrides


#: How msgspec says that a text is too long, and where.
_LENGTH_ERROR = re.compile(r"Expected `str` of length <= (?P<most>\d+)(?: - at `\$\.?(?P<place>.*)`)?")


def parse_run_spec(raw: Mapping[str, Any]) -> RunSpec:
    """Return the run spec in ``raw``, the JSON object popped from a queue.

    A missing ``run_id`` is drawn (8 characters, as W&B's agent draws it), a
    missing ``resource`` is W&B's default ``local-container``. Keys that are not
    W&B's are left alone.

    Raises:
        InvalidSpec: naming the key that is wrong, the type of its value, and the type that it must have.
    """
    check_limits(raw)
    envelope = _convert(_non_empty(raw), _Envelope)
    if not envelope.entity or not envelope.project:
        raise InvalidSpec("The run spec names no entity or no project.", hint="Launch it again with both set.")
    return RunSpec(
        entity=envelope.entity,
        project=envelope.project.lower(),
        run_id=envelope.run_id or draw_run_id(),
        resource=envelope.resource,
        resource_args=_arguments_by_resource(envelope.resource_args),
        overrides=_parse_overrides(envelope.overrides, envelope.uri == SCHEDULER_URI),
        git=_git_of(envelope),
        uri=envelope.uri,
        job=envelope.job,
        docker_image=envelope.docker.docker_image or envelope.image_uri,
        user_id=envelope.docker.user_id,
        name=envelope.name,
        author=envelope.author,
        sweep_id=envelope.sweep_id,
        resume_count=envelope.resume_count,
        python_version=envelope.python_version,
        additional_services=tuple(one.config for one in envelope.additional_services if one.config),
    )


def _arguments_by_resource(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: _convert(args, dict[str, Any], f"resource_args.{name}")
        for name, args in given.items()
        if args is not None
    }


def _git_of(envelope: _Envelope) -> GitSpec:
    """Return the repository, which an older client names by ``uri`` alone, also as the address of a page of it."""
    repo, version = envelope.git.repo, envelope.git.version
    uri = envelope.uri or ""
    if repo or envelope.job or envelope.docker.docker_image or envelope.image_uri or not _GIT_URI.fullmatch(uri):
        return GitSpec(repo, version)
    if page := _PAGE_OF_TREE.fullmatch(uri):
        return GitSpec(page["repo"], version or page["version"])
    return GitSpec(uri, version)


def take_text(raw: dict[str, Any], key: str) -> str | None:
    """Remove ``key`` from ``raw`` and return its text, ``None`` where it says nothing; raises :class:`InvalidSpec`."""
    value = _non_empty({key: raw.pop(key, None)}).get(key)
    return None if value is None else _convert(value, str, key)


def draw_run_id() -> str:
    """Return a new run id: eight lower-case letters and digits."""
    return "".join(secrets.choice(_RUN_ID_ALPHABET) for _ in range(8))


def _parse_overrides(overrides: Mapping[str, Any], is_scheduler: bool) -> Overrides:
    parsed = _convert({"overrides": _non_empty(overrides)}, _OverridesEnvelope).overrides
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


def _convert(raw: Any, wanted: type[T], place: str = "this") -> T:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        raise InvalidSpec(_sentence(str(error), place), hint="Correct it and launch again.") from error


def _sentence(problem: str, place: str) -> str:
    """Return what msgspec says is wrong as a sentence for people; ``place`` is where it names none."""
    if complaint := read_type_complaint(problem):
        where = complaint.place.removeprefix(".") or place
        wanted = complaint.wanted_in_words(with_null=False)
        return f"{shown(where)} in the run spec is {complaint.given_in_words}, and must be {wanted}."
    if found := _LENGTH_ERROR.fullmatch(problem):
        return f"{shown(found['place'] or place)} in the run spec has more than {found['most']} characters."
    return f"Something is wrong in the run spec: {problem}."
