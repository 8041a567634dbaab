"""The builder `docker` on a real engine: by its client and by the API alone, without an agent around it."""

import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import BuildError, PolicyRefused, RunnerUnavailable
from ipc.policy_rules import ContainerRules, PolicyRules
from ipc.settings import DockerConfig, RegistryAccess, RegistryConfig
from ipc.work_order import write_order
from tests.support.engine import BASE_IMAGE, TestEngine, image_of
from tests.support.job_contexts import Heard, heard, make_context
from tests.support.python_image import without_settings_of_machine
from tests.support.registries import PASSWORD, USER, TestRegistry, running_registry
from tests.support.waiting import wait_until
from workers.builders import Build
from workers.builders.docker import DockerBuilder
from workers.context import JobContext
from workers.images.build_log import BUILD_LOG_FILE
from workers.sources import Project

__all__ = ["heard", "make_context"]

pytestmark = pytest.mark.engine

Job = tuple[Project, JobContext]
JobMaker = Callable[..., Job]


WORKER = """
import sys
from pathlib import Path
from ipc.errors import BuildError
from ipc.work_order import read_order
from workers.builders import docker
from workers.builders.docker_client import find_client
from workers.context import JobContext
from workers.sources import Project

context = JobContext(read_order(Path(sys.argv[1])), "", lambda event: None)
docker.find_client = {client}
try:
    docker.DockerBuilder().build(Project(context.work, dockerfile="Dockerfile"), context)
except BuildError as error:
    print(error.message)
"""


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings_of_machine(monkeypatch)


@pytest.fixture(params=["client", "API"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How images are built: as on a host that has a client with BuildKit, or has none."""
    if request.param == "API":
        without_client(monkeypatch)


def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a host without a client that has BuildKit."""
    monkeypatch.setattr("workers.builders.docker.find_client", lambda _environment: None)


@pytest.fixture
def make_job(make_context: Callable[..., JobContext], engine: TestEngine) -> Iterator[JobMaker]:
    numbers = iter(range(1000))

    def make(
        files: dict[str, str],
        project: dict[str, Any] | None = None,
        order: dict[str, Any] | None = None,
        **docker: Any,
    ) -> Job:
        settings = DockerConfig(**{"host": engine.address, "base_image": BASE_IMAGE, **docker})
        name = f"launchd-{next(numbers)}-1"
        context = make_context(name, spec={"resource": "local-container"}, docker=settings, **(order or {}))
        for path, text in files.items():
            (context.work / path).write_text(text)
        return Project(context.work, **(project or {})), context

    yield make
    remove_images(engine)


def remove_images(engine: TestEngine) -> None:
    with engine.client() as client:
        for found in client.images(filters={"label": "launchd.built"}):
            client.remove_image(found["Id"], force=True)
        client.prune_builds()


def built(job: Job) -> Build:
    return DockerBuilder().build(*job)


def has_log(job: Job) -> bool:
    return (job[1].directory / BUILD_LOG_FILE).exists()


@pytest.mark.usefixtures("way")
def test_it_is_built_once(make_job: JobMaker, engine: TestEngine) -> None:
    jobs = [make_job({"main.sh": "echo 1"}) for _ in range(2)]

    first, second = map(built, jobs)

    assert first == second
    assert [has_log(job) for job in jobs] == [True, False]
    with engine.client() as client:
        config = client.inspect_image(first.image)["Config"]
    assert (config["User"], config["WorkingDir"]) == ("1000:0", "/home/job")
    assert config["Labels"] == {"launchd.built": "ada/engine"}


def test_both_ways_make_images_of_one_name(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"main.sh": "echo 2"}
    by_client = built(make_job(files))
    without_client(monkeypatch)
    job = make_job(files)

    assert built(job) == by_client
    assert not has_log(job)


@pytest.mark.usefixtures("way")
def test_a_step_that_fails_is_told(make_job: JobMaker) -> None:
    job = make_job(
        {"Dockerfile": f"FROM {BASE_IMAGE}\nRUN echo this is wrong && false\n"}, {"dockerfile": "Dockerfile"}
    )

    with pytest.raises(BuildError) as failed:
        built(job)

    assert failed.value.message.startswith("The image of the project could not be built: ")
    assert "false" in failed.value.message
    assert "this is wrong" in (failed.value.detail or "")
    assert "this is wrong" in (job[1].directory / BUILD_LOG_FILE).read_text()


@pytest.mark.usefixtures("way")
def test_steps_are_told_as_they_come(make_job: JobMaker, heard: Heard) -> None:
    dockerfile = f"FROM {BASE_IMAGE}\nRUN echo one && sleep 1\nRUN echo two\n"
    built(make_job({"Dockerfile": dockerfile}, {"dockerfile": "Dockerfile"}))

    assert any("echo two" in said for said in heard.progress())


@pytest.mark.parametrize("client", ["find_client", "lambda _environment: None"], ids=["client", "API"])
def test_a_build_without_progress_is_ended(make_job: JobMaker, engine: TestEngine, client: str) -> None:
    dockerfile = f"FROM {BASE_IMAGE}\nRUN sleep 300\n"
    _, context = make_job({"Dockerfile": dockerfile}, build_no_progress_seconds=1.5)
    write_order(context.order)

    # As a worker does, which leaves once its job has failed.
    program = WORKER.format(client=client)
    done = subprocess.run(
        [sys.executable, "-c", program, str(context.directory)], capture_output=True, text=True, check=True
    )

    assert "made no progress for 1.5 s" in done.stdout
    assert "(launchd.docker.build_no_progress_seconds)." in done.stdout
    wait_until(lambda: running(engine) == [], 20, "the step is gone")


def running(engine: TestEngine) -> list[str]:
    with engine.client() as client:
        return [str(one["Id"]) for one in client.containers()]


def test_the_api_alone_refuses_a_build_that_needs_secrets(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    without_client(monkeypatch)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    with pytest.raises(BuildError, match="without BuildKit they would stay in the image"):
        built(make_job({"main.sh": "echo 3"}))


def test_with_buildkit_a_step_has_the_settings_of_the_host(
    make_job: JobMaker, engine: TestEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificates = tmp_path / "ca.crt"
    certificates.write_text("a certificate of the host")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9/of-the-host")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
    mounts = "".join(
        f"--mount=type=secret,id=launchd-{name},target=/run/secrets/launchd-{name} "
        for name in ("settings", "certificates")
    )
    step = '. /run/secrets/launchd-settings; echo "seen: $https_proxy"; cat "$SSL_CERT_FILE"'
    job = make_job({"Dockerfile": f"FROM {BASE_IMAGE}\nRUN {mounts}{step}\n"}, {"dockerfile": "Dockerfile"})

    image = built(job).image

    log = (job[1].directory / BUILD_LOG_FILE).read_text()
    assert "seen: http://127.0.0.1:9/of-the-host" in log
    assert "a certificate of the host" in log
    with engine.client() as client:
        assert "of-the-host" not in str(client.history(image)) + str(client.inspect_image(image))
        assert not any(b"of the host" in piece for piece in client.get_image(image))


# -- with a registry


@pytest.fixture
def protected_registry(tmp_path: Path) -> Iterator[TestRegistry]:
    """A registry with a password."""
    with running_registry(tmp_path / "registry", password=True) as running:
        yield running


def ordered(registry: TestRegistry, directory: Path, password: str) -> dict[str, Any]:
    """Return what a work order says of ``registry``; user and password are in Docker's own configuration."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    config = directory / f"config-{password}.json"
    config.write_text(json.dumps({"auths": {registry.name: {"auth": auth}}}))
    return {
        "registry": RegistryConfig("plain", f"{registry.name}/team/x"),
        "registry_access": RegistryAccess(docker_config=str(config)),
    }


def test_an_image_is_pushed_and_found_there_without_being_here(
    make_job: JobMaker, engine: TestEngine, protected_registry: TestRegistry, tmp_path: Path
) -> None:
    order = ordered(protected_registry, tmp_path, PASSWORD)
    files = {"main.sh": "echo 4"}

    first = built(make_job(files, order=order))
    remove_images(engine)
    again = make_job(files, order=order)
    second = built(again)

    assert first == second
    assert first.image is not None
    assert first.image.startswith(f"{protected_registry.name}/team/x")
    assert not has_log(again)
    with engine.client() as client:
        assert client.images(first.image) == []


def test_what_only_the_registry_lacks_is_pushed_and_not_built(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, protected_registry: TestRegistry, tmp_path: Path
) -> None:
    order = ordered(protected_registry, tmp_path, PASSWORD)
    files = {"main.sh": "echo 5"}
    built(make_job(files, order=order))
    shutil.rmtree(protected_registry.directory / "data")
    # Now nothing could be built.
    without_client(monkeypatch)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    job = make_job(files, order=order)

    built(job)

    assert "Pushed" in (job[1].directory / BUILD_LOG_FILE).read_text()


def test_a_registry_that_refuses_is_told(make_job: JobMaker, protected_registry: TestRegistry, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="registry"):
        built(make_job({"main.sh": "echo 6"}, order=ordered(protected_registry, tmp_path, "wrong")))


def test_an_engine_that_is_away_is_told(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job({"main.sh": ""}, host=f"unix://{tmp_path}/none.sock", unavailable_seconds=0)

    with pytest.raises(RunnerUnavailable, match="does not answer"):
        built(job)


@pytest.mark.usefixtures("way")
def test_a_base_image_that_is_nowhere_is_told(make_job: JobMaker) -> None:
    with pytest.raises(BuildError, match=r"127\.0\.0\.1:9"):
        built(make_job({"main.sh": ""}, base_image="127.0.0.1:9/no/such:1"))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("how", ["in a Dockerfile", "as base image of the job"])
def test_a_base_image_has_the_engine_fetch_nothing_over_the_network_of_the_host(
    make_job: JobMaker, engine: TestEngine, how: str
) -> None:
    """What such an image says with ONBUILD is carried out in the build, as if the job's Dockerfile said it."""
    name = "localhost/launchd-test-onbuild:1"
    files = {"Dockerfile": f"ARG BASE={name}\nFROM ${{BASE}}\n", "main.sh": ""}
    project = {"dockerfile": "Dockerfile"} if how == "in a Dockerfile" else {"base_image": name}
    with served() as (address, asked), image_of(engine, f"ONBUILD ADD {address}/key /key", name):
        with pytest.raises(PolicyRefused, match=rf"The base image {name} \(with ONBUILD\) has ADD {address}/key"):
            built(make_job(files, project))
        assert asked == []
        order = {"policy": PolicyRules(containers=ContainerRules(networks=("bridge", "host")))}
        built(make_job(files, project, order=order))
        assert asked == ["/key"]
        remove_images(engine)


@contextmanager
def served() -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine's loopback interface, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"key")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()
