"""`launch` and `launch_add` with containers of a real engine: what runs, what is built, and how it ends."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launchd import Api, LaunchError, launch, launch_add
from launchd.api.embedded import launcher
from launchd.api.job_sources import image_job
from launchd.client.job_file import IMAGE, JobName, JobSource
from launchd.client.jobs import create_job, download_job
from tests.support.engine import BASE_IMAGE, SAYING_IMAGE, TestEngine
from tests.support.program import program
from tests.support.registries import running_registry
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until
from workers.images.build_log import BUILD_LOG_FILE

pytestmark = pytest.mark.engine


@pytest.fixture
def environ(
    account: Account,
    engine: TestEngine,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, str]]:
    """What a user has in the environment, here and in programs."""
    ours = {
        "WANDB_BASE_URL": account.url,
        "WANDB_API_KEY": account.key,
        "LAUNCHD_STATE_DIR": str(tmp_path_factory.mktemp("state")),
        "DOCKER_HOST": engine.address,
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    yield ours
    launcher.end_all()
    engine.remove_containers()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with a script, and the Dockerfile of an image for it."""
    directory = tmp_path / "code"
    directory.mkdir()
    (directory / "main.sh").write_text('echo "of the code: $WANDB_CONFIG"\n')
    (directory / "Dockerfile.wandb").write_text(f"FROM {BASE_IMAGE}\nCOPY . /project\nWORKDIR /project\n")
    return directory


COMMAND = ["sh", "main.sh"]


def images(engine: TestEngine, account: Account) -> list[str]:
    """Return the images that were built for an account."""
    with engine.client() as client:
        tags = [tag for image in client.images() for tag in image["RepoTags"] or ()]
    return [tag for tag in tags if tag.startswith(f"localhost/launchd/{account.entity}/")]


# -- at once


@pytest.mark.usefixtures("environ")
def test_an_image_of_source_code_is_built_and_run(code: Path, engine: TestEngine, account: Account) -> None:
    run = launch(resource="local-container", config={"uri": str(code)}, entry_point=COMMAND, parameters={"lr": 0.1})

    assert (run.status, run.logs()) == ("finished", 'of the code: {"lr": 0.1}\n')
    assert len(images(engine, account)) == 1
    assert engine.containers() == {}


@pytest.mark.usefixtures("environ")
def test_a_job_that_is_an_image_runs_on_the_engine_by_itself(account: Account) -> None:
    make_image_job("saying")

    run = launch(job=f"{account.entity}/tests/saying", config={"overrides": {"args": ["of mine"]}})

    assert (run.status, run.logs()) == ("finished", "entry of mine\n")


def make_image_job(name: str) -> None:
    api = Api()
    create_job(api.queue_server, JobName(api.default_entity, "tests", name), image_job(SAYING_IMAGE).job)


ASYNCHRONOUS = """
from launchd import launch
run = launch(docker_image={image!r}, entry_point=["sh", "-c", {script!r}], synchronous=False)
while "begun" not in run.logs():
    pass
print("launched")
{rest}
"""


def asynchronous(script: str, rest: str = "") -> str:
    return ASYNCHRONOUS.format(image=BASE_IMAGE, script=f"echo begun; {script}", rest=rest)


def output_of(environ: dict[str, str]) -> str:
    (path,) = Path(environ["LAUNCHD_STATE_DIR"]).glob("launches/*/jobs/*/output.log")
    return path.read_text()


def test_a_program_that_comes_to_its_end_waits_for_its_container(
    environ: dict[str, str], tmp_path: Path, engine: TestEngine
) -> None:
    with program(asynchronous("sleep 1; echo done"), tmp_path, environ) as running:
        assert running.wait() == 0

    assert output_of(environ) == "begun\ndone\n"
    assert engine.containers() == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_program_ends_its_containers(
    number: signal.Signals, environ: dict[str, str], tmp_path: Path, engine: TestEngine
) -> None:
    with program(asynchronous("exec sleep 600", "import time; time.sleep(600)"), tmp_path, environ) as running:
        running.wait_for("launched")
        running.signal(number)
        assert running.wait() != 0

    wait_until(lambda: engine.containers() == {}, 30, "the container is gone")


# -- built before it is queued


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine) -> Iterator[Testbed]:
    settings: dict[str, Any] = {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"]},
        "supervision": QUICK,
    }
    with make_testbed(tmp_path, account, launchd=settings) as opened:
        yield opened


@pytest.mark.usefixtures("environ")
def test_an_image_is_built_before_its_job_is_queued(
    testbed: Testbed, account: Account, code: Path, engine: TestEngine
) -> None:
    queued = launch_add(
        uri=str(code),
        entry_point=COMMAND,
        resource="local-container",
        queue_name="default",
        build=True,
        project="tests",
        parameters={"lr": 0.1},
    )

    (image,) = images(engine, account)
    spec = testbed.item(queued.id).run_spec
    tag = image.rpartition(":")[2]
    assert spec["job"] == f"{testbed.entity}/tests/job-code-image:{tag}"
    assert not {"uri", "git", "registry"} & {key for key, value in spec.items() if value}
    job = download_job(testbed.client, JobName(testbed.entity, "tests", "job-code-image", tag), Path(testbed.directory))
    assert (job.source_type, job.source) == (IMAGE, JobSource(image=image, entrypoint=tuple(COMMAND)))
    # An agent of the queue has nothing to build.
    testbed.start_agent()
    assert queued.wait_until_finished(40).state == "finished"
    assert Path(testbed.job(queued.id)["log_path"]).read_text() == 'of the code: {"lr": 0.1}\n'


@pytest.mark.usefixtures("environ")
def test_the_image_is_pushed_to_the_repository(
    testbed: Testbed, code: Path, engine: TestEngine, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry") as registry:
        repository = f"{registry.name}/team/demo"
        built: dict[str, Any] = {"repository": repository, "resource": "local-container", "project": "tests"}

        queued = launch_add(uri=str(code), entry_point=COMMAND, queue_name="default", build=True, **built)

        (tag,) = registry.tags("team/demo")
        assert testbed.item(queued.id).run_spec["job"].endswith(f":{tag}")
        with engine.client() as client:
            client.remove_image(f"{repository}:{tag}")
        testbed.start_agent()
        assert queued.wait_until_finished(40).state == "finished"
        # The same code is the same image, wherever it is built for.
        assert launch(config={"uri": str(code)}, entry_point=COMMAND, **built).status == "finished"
        assert registry.tags("team/demo") == [tag]


@pytest.mark.usefixtures("environ", "testbed")
def test_what_cannot_be_built_is_not_queued(code: Path) -> None:
    (code / "Dockerfile.wandb").write_text(f"FROM {BASE_IMAGE}\nRUN exit 3\n")

    with pytest.raises(LaunchError, match="Nothing was queued, as the build of the image failed at stage build: "):
        launch_add(uri=str(code), entry_point=COMMAND, resource="local-container", queue_name="default", build=True)

    assert Api().run_queue("default").items == []


BUILD = """
from launchd import launch_add
launch_add(uri={code!r}, entry_point=["true"], resource="local-container", queue_name="default", build=True)
"""


@pytest.mark.usefixtures("testbed")
def test_an_interrupted_build_queues_nothing(environ: dict[str, str], code: Path, tmp_path: Path) -> None:
    (code / "Dockerfile.wandb").write_text(f"FROM {BASE_IMAGE}\nRUN echo begun; sleep 600\n")
    state = Path(environ["LAUNCHD_STATE_DIR"])

    with program(BUILD.format(code=str(code)), tmp_path, environ) as running:
        logs = f"launches/*/jobs/*/{BUILD_LOG_FILE}"
        wait_until(lambda: any("begun" in log.read_text() for log in state.glob(logs)), 60, "the build runs")
        running.signal(signal.SIGINT)
        assert running.wait() != 0

    assert "KeyboardInterrupt" in running.text()
    assert Api().run_queue("default").items == []


@pytest.mark.usefixtures("environ", "testbed")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"uri": "."}, "needs the queue"),
        ({"uri": ".", "queue_name": "default"}, "local-process runs none"),
        ({"docker_image": "x", "queue_name": "default", "resource": "local-container"}, "names one already"),
        ({"queue_name": "default", "resource": "local-container"}, "needs source code"),
        ({"uri": ".", "queue_name": "no-such"}, "There is no queue 'no-such'"),
    ],
)
def test_what_is_no_build_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LaunchError, match=sentence):
        launch_add(entry_point=["true"], build=True, **arguments)


def test_a_repository_needs_a_build(environ: dict[str, str], testbed: Testbed) -> None:  # noqa: ARG001
    with pytest.raises(LaunchError, match="give build=True with it"):
        launch_add(job="x", entry_point=["true"], resource="local-container", repository="registry/x")
    with pytest.raises(LaunchError, match="for docker_image none is built"):
        launch(docker_image=BASE_IMAGE, repository="registry/x")
