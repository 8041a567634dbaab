"""Every argument of the Python API has an effect: with it, something is as it is not without it.

A row per argument; one that has none fails the suite. The signatures are those of W&B's documents.
"""

import inspect
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from launchd import Api, ExecutionError, LaunchError, RunQueue, SubmittedRun, launch, launch_add
from launchd.api.embedded import launcher
from launchd.client.job_file import REPOSITORY as FROM_REPOSITORY
from launchd.client.job_file import GitCommit, JobFile, JobSource, parse_job_name
from launchd.client.jobs import create_job
from launchd.client.queue_server import Item
from tests.support.accounts import make_accounts
from tests.support.server import RunningServer, running_server

QUEUES = "model-registry"


class Row(NamedTuple):
    """With ``given`` for the argument, ``seen`` of what comes of the call is ``wanted``; without it, it is not."""

    given: Any
    seen: Callable[[Any], object]
    wanted: object
    others: Mapping[str, Any] = {}


class Setting(NamedTuple):
    """What the rows may refer to."""

    api: Api
    stands_for: dict[str, Any]

    def filled(self, value: Any) -> Any:
        """``value`` with what its words stand for."""
        if isinstance(value, dict):
            return {key: self.filled(inner) for key, inner in value.items()}
        return self.stands_for.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def setting(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    repository = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", server.url)
        patch.setenv("WANDB_API_KEY", server.key)
        patch.setenv("LAUNCHD_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        api = Api()
        make_queues(api)
        with make_accounts(server) as accounts:
            owner, _ = accounts.user()
            team = accounts.team(owner)
            _, key = accounts.service_account(team)
        service = Api(api_key=key, entity=team)
        make_queues(service)
        make_job(api)
        yield Setting(api, {REPOSITORY: make_repository(repository), MEMBER: owner, SERVICE_API: service})
        launcher.end_all()


def make_queues(api: Api) -> None:
    variable = {"size": {"type": "integer", "default": 1}}
    api.create_run_queue("other", "local-process", prioritization_mode="V0")
    api.create_run_queue("templated", "local-process", config={"size": "{{size}}"}, template_variables=variable)
    api.create_run_queue("default", "local-process")
    api.queue_server.create_queue(api.default_entity, "default", project="own-queues")


def make_job(api: Api) -> None:
    source = JobSource(git=GitCommit(remote="https://h/x", commit="c0ffee"), entrypoint=("true",))
    create_job(api.queue_server, parse_job_name(JOB), JobFile(FROM_REPOSITORY, source))


def make_repository(directory: Path) -> str:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=me", "-c", "user.email=me@localhost", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *identity, "-C", str(directory), *words], check=True, capture_output=True)

    git("init")
    for version in ("one", "two"):
        (directory / "main.py").write_text(f"print({version!r})\n")
        git("add", "main.py")
        git("commit", "-m", version)
        git("tag", version)
    return f"file://{directory}"


def spec(*path: str) -> Callable[[Item], object]:
    """What an item's run spec has at ``path``."""

    def seen(item: Item) -> object:
        value: Any = item.run_spec
        for key in path:
            value = (value or {}).get(key)
        return value

    return seen


def says(words: str) -> Callable[[object], bool]:
    """Whether the call was refused with ``words``."""
    return lambda found: words in str(found)


#: Stand for what only a running server has.
REPOSITORY, MEMBER, SERVICE_API = "<the repository>", "<a member of the team>", "<a service account's>"

YES, NO = True, False
JOB = "me/of-the-job/made:v0"

ADDING = {
    "uri": Row("https://h/x", spec("git", "repo"), "https://h/x"),
    "job": Row(JOB, spec("job"), JOB),
    "config": Row({"lr": 1}, spec("overrides", "run_config"), {"lr": 1}),
    "template_variables": Row(
        {"size": 7}, spec("resource_args", "local-process", "size"), 7, {"queue_name": "templated"}
    ),
    "project": Row("vision", spec("project"), "vision"),
    "entity": Row("them", spec("entity"), "them", {"config": {"queue_entity": "me"}}),
    "queue_name": Row("other", lambda item: item.queue_name, "other"),
    "resource": Row("kubernetes", spec("resource"), "kubernetes"),
    "entry_point": Row(["false"], spec("overrides", "entry_point"), ["false"]),
    "name": Row("first", spec("name"), "first"),
    "version": Row("v1", spec("git", "version"), "v1", {"uri": "https://h/x"}),
    "docker_image": Row("alpine:3", spec("docker", "docker_image"), "alpine:3"),
    "project_queue": Row("own-queues", lambda item: item.project, "own-queues"),
    "resource_args": Row({"local-process": {"a": 1}}, spec("resource_args"), {"local-process": {"a": 1}}),
    "run_id": Row("abc", spec("run_id"), "abc"),
    "build": Row(YES, says("build=True needs the queue"), YES),
    "repository": Row("registry/x", says("give build=True with it"), YES, {"resource": "kubernetes"}),
    "sweep_id": Row("sweep1", spec("sweep_id"), "sweep1"),
    "author": Row(MEMBER, spec("author"), MEMBER, {"api": SERVICE_API}),
    "priority": Row("high", lambda item: item.priority, 1, {"queue_name": "other"}),
    "parameters": Row({"lr": 1}, spec("overrides", "run_config"), {"lr": 1}),
    "api": Row(lambda: Api(project="of-the-api"), spec("project"), "of-the-api"),
}

GIT = {"git": {"repo": REPOSITORY}}
#: An agent's configuration whose engine is not there.
NO_ENGINE = {"launchd": {"docker": {"host": "unix:///nowhere/docker.sock", "unavailable_seconds": 0}}}
SHOW_CONFIG = ["sh", "-c", "echo $WANDB_CONFIG"]

LAUNCHING = {
    "api": Row(lambda: Api(project="of-the-api"), lambda run: run.project, "of-the-api"),
    "job": Row(JOB, lambda run: run.project, "of-the-job", {"synchronous": False}),
    "entry_point": Row(["echo", "hello"], lambda run: run.logs(), "hello\n"),
    "version": Row(
        "one", lambda run: run.logs(), "one\n", {"entry_point": None, "config": {"git": {"repo": REPOSITORY}}}
    ),
    "name": Row("first", lambda run: run.logs(), "first\n", {"entry_point": ["sh", "-c", "echo $WANDB_NAME"]}),
    "resource": Row("kubernetes", says("There is no kubeconfig for the agent's user"), YES),
    "resource_args": Row({"local-process": {"a": 1}}, says("local-process takes none"), YES),
    "project": Row("vision", lambda run: run.project, "vision"),
    "entity": Row("them", lambda run: run.entity, "them"),
    "docker_image": Row(
        "alpine:3",
        says("The container engine at unix:///nowhere/docker.sock does not answer"),
        YES,
        {"config": NO_ENGINE},
    ),
    "config": Row(
        {"lr": 1}, lambda run: run.logs(), '{"lr": 1}\n', {"entry_point": ["sh", "-c", "echo $WANDB_CONFIG"]}
    ),
    "synchronous": Row(NO, lambda run: run.status, "starting"),
    "run_id": Row("abc", lambda run: run.id, "abc"),
    "repository": Row("registry/x", says("for local-process none is built"), YES),
    "parameters": Row({"lr": 1}, lambda run: run.logs(), '{"lr": 1}\n', {"entry_point": SHOW_CONFIG}),
}

ACCESS = {
    "overrides": Row({"project": "vision"}, lambda api: api.default_project, "vision"),
    "timeout": Row(3.0, lambda api: api.queue_server.transport._timeout, 3.0),
    "api_key": Row("k" * 40, lambda api: api.api_key, "k" * 40),
    "base_url": Row("http://127.0.0.1:9/", lambda api: api.base_url, "http://127.0.0.1:9"),
    "entity": Row("them", lambda api: api.default_entity, "them"),
    "project": Row("vision", lambda api: api.default_project, "vision"),
}

VARIABLES = {"size": {"type": "integer", "default": 1}}
LINKS = {"wiki": "https://wiki"}

CREATING = {
    "name": Row("named", lambda queue: queue.name, "named"),
    "type": Row("kubernetes", lambda queue: queue.type, "kubernetes"),
    "entity": Row("nobody", says("nobody"), YES),
    "prioritization_mode": Row("V0", lambda queue: queue.prioritization_mode, "V0"),
    "config": Row({"a": 1}, lambda queue: queue.default_resource_config["resource_args"]["local-process"], {"a": 1}),
    "template_variables": Row(VARIABLES, lambda queue: queue.template_variables, VARIABLES),
}

CREATING_ALONE = {
    "name": CREATING["name"],
    "resource": CREATING["type"],
    **{name: CREATING[name] for name in ("entity", "prioritization_mode", "config", "template_variables")},
    "api": Row(SERVICE_API, lambda queue: queue.entity.startswith("team"), YES),
}

UPSERTING = {
    "name": CREATING["name"],
    "resource_config": CREATING["config"],
    "resource_type": CREATING["type"],
    "entity": CREATING["entity"],
    "template_variables": CREATING["template_variables"],
    "external_links": Row(LINKS, lambda queue: queue.external_links, LINKS),
    "prioritization_mode": CREATING["prioritization_mode"],
}


class PushedItem(NamedTuple):
    """An item, and the project of the queue in which it is."""

    item: Item
    project: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.item, name)


def added(setting: Setting, **arguments: Any) -> object:
    try:
        queued = launch_add(**{"entry_point": ["true"]} | arguments)
    except LaunchError as error:
        return error
    server = arguments.get("api", setting.api).queue_server
    item = server.item(queued.id)
    assert item is not None
    places = [
        project
        for project in (QUEUES, "own-queues")
        if server.queue_item(item.entity_name, queued.queue_name, queued.id, project)
    ]
    return PushedItem(item, *places)


def launched(_: Setting, **arguments: Any) -> SubmittedRun | LaunchError | ExecutionError:
    try:
        return launch(**{"entry_point": ["true"]} | arguments)
    except (LaunchError, ExecutionError) as error:
        return error


def accessed(_: Setting, **arguments: Any) -> Api:
    return Api(**arguments)


def created(setting: Setting, **arguments: Any) -> RunQueue | LaunchError:
    return queue_of(setting.api.create_run_queue, {"name": "made", "type": "local-process"} | arguments)


def created_alone(_: Setting, **arguments: Any) -> RunQueue | LaunchError:
    return queue_of(RunQueue.create, {"name": "made", "resource": "local-process"} | arguments)


def upserted(setting: Setting, **arguments: Any) -> RunQueue | LaunchError:
    base = {"name": "made", "resource_config": {}, "resource_type": "local-process"}
    return queue_of(setting.api.upsert_run_queue, base | arguments)


def queue_of(make: Callable[..., RunQueue], arguments: Mapping[str, Any]) -> RunQueue | LaunchError:
    try:
        return make(**arguments)
    except LaunchError as error:
        return error


TABLES: dict[str, tuple[Callable[..., object], Callable[..., object], dict[str, Row]]] = {
    "launch_add": (launch_add, added, ADDING),
    "launch": (launch, launched, LAUNCHING),
    "Api": (Api, accessed, ACCESS),
    "create_run_queue": (Api.create_run_queue, created, CREATING),
    "RunQueue.create": (RunQueue.create, created_alone, CREATING_ALONE),
    "upsert_run_queue": (Api.upsert_run_queue, upserted, UPSERTING),
}


@pytest.mark.parametrize("function", TABLES)
def test_every_argument_has_a_row(function: str) -> None:
    called, _, rows = TABLES[function]

    assert [name for name in inspect.signature(called).parameters if name != "self"] == list(rows)


@pytest.mark.parametrize(("function", "argument"), [(name, row) for name in TABLES for row in TABLES[name][2]])
def test_the_argument_has_an_effect(function: str, argument: str, setting: Setting) -> None:
    _, call, rows = TABLES[function]
    row = rows[argument]
    given = row.given() if callable(row.given) else setting.filled(row.given)
    others = setting.filled(dict(row.others))

    with_it = call(setting, **{**others, argument: given})
    seen = row.seen(with_it)
    clean_up(with_it)
    without = call(setting, **others)

    assert seen == setting.filled(row.wanted)
    assert row.seen(without) != setting.filled(row.wanted)
    clean_up(without)


def clean_up(made: object) -> None:
    match made:
        case RunQueue():
            made.delete()
        case SubmittedRun():
            made.wait()


# -- signatures

DOCUMENTED = {
    launch: "api job entry_point version name resource resource_args project entity docker_image config synchronous"
    " run_id repository",
    launch_add: "uri job config template_variables project entity queue_name resource entry_point name version"
    " docker_image project_queue resource_args run_id build repository sweep_id author priority",
}


@pytest.mark.parametrize("function", DOCUMENTED, ids=lambda function: function.__name__)
def test_the_signature_is_the_documented_one(function: Callable[..., object]) -> None:
    parameters = inspect.signature(function).parameters.values()
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    defaults = {one.name: one.default for one in parameters if one.default is not None}

    assert positional == DOCUMENTED[function].split()
    assert defaults == ({"synchronous": True} if function is launch else {"build": False})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: launch_add(docker_imag="x"),
            "launch_add.. has no argument 'docker_imag'. Did you mean 'docker_image'?",
        ),
        (lambda: launch(syncronous=True), "launch.. has no argument 'syncronous'. Did you mean 'synchronous'?"),
        (lambda: Api(base_uri="x"), "has no argument 'base_uri'. Did you mean 'base_url'?"),
        (lambda: launch(zzz=1), "There are: api, config, docker_image"),
    ],
)
def test_an_unknown_argument_is_refused_with_the_nearest_known_one(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        call()
