"""A job in a cluster that cannot begin: what was deleted of it is made again, and what it waits for is told.

On a stand-in for a cluster; that a kubelet finds the Secrets again is seen in `test_kubernetes.py`.
"""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.handles import Handle
from ipc.settings import KubernetesConfig, RegistryAccess, RegistryConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job
from tests.support.cluster_rights import granted_kubernetes
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.pods import let_wait, make_pod, tell
from workers.builders import Build
from workers.kubernetes import remedies
from workers.kubernetes.archives import CODE_ARCHIVE, PART_BYTES
from workers.runners import Runner, create_runner

HOST = "registry.example:5000"
IMAGE = f"{HOST}/team/images:1"

Submit = Callable[[], tuple[Runner, Handle]]


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with granted_kubernetes() as running:
        running.runs_pods = False
        yield running


@pytest.fixture
def job(tmp_path: Path, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(remedies, "USUAL_START_SECONDS", 0.0)
    monkeypatch.setattr(remedies, "PAUSE_SECONDS", 0.0)
    config = KubernetesConfig(str(cluster.write_config(tmp_path / "kubeconfig")))
    return Job(tmp_path / "state" / "jobs" / NAME, "kubernetes", ("true",), image=IMAGE, kubernetes=config)


@pytest.fixture
def make_runner(tmp_path: Path, job: Job) -> Callable[[], Runner]:
    """Runners as one worker after another makes them, of an agent whose registry has a password."""
    write_password(tmp_path, "old")
    access = RegistryAccess(username="ada", password_file=str(tmp_path / "password"), docker_config="/nonexistent")

    def make() -> Runner:
        registry = RegistryConfig("plain", f"{HOST}/team/images")
        order = msgspec.structs.replace(job.order, registry=registry, registry_access=access)
        return create_runner(order, ())

    return make


@pytest.fixture
def submit(job: Job, make_runner: Callable[[], Runner], cluster: FakeKubernetes) -> Submit:
    """What starts the job with files in three Secrets, a key and a login; it has a pod that is being created."""

    def act() -> tuple[Runner, Handle]:
        archive = job.directory / CODE_ARCHIVE
        archive.write_bytes(bytes(2 * PART_BYTES + 1))
        launch = msgspec.structs.replace(job.launch, build=Build(image=IMAGE, code=str(archive)))
        launch.environment["WANDB_API_KEY"] = "key1"
        runner = make_runner()
        runner.validate()
        handle = runner.submit(launch)
        make_pod(cluster, str(handle.data["object"]), "pod")
        let_wait(cluster, "pod", "ContainerCreating")
        return runner, handle

    return act


def write_password(directory: Path, text: str) -> None:
    (directory / "password").write_text(text)
    (directory / "password").chmod(0o600)


def secrets(cluster: FakeKubernetes) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in cluster.objects("secrets")}


def login(cluster: FakeKubernetes) -> bytes:
    config = json.loads(base64.b64decode(secrets(cluster)[f"{NAME}-pull"]["data"][".dockerconfigjson"]))
    return base64.b64decode(config["auths"][HOST]["auth"])


def content(cluster: FakeKubernetes) -> dict[str, Any]:
    """Return what matters of each Secret: what it holds, and whom it belongs to."""
    return {
        name: (one["data"], one["metadata"]["ownerReferences"], one["metadata"]["labels"])
        for name, one in secrets(cluster).items()
    }


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [
        ("", "CreateContainerConfigError"),
        ("-pull", "ErrImagePull"),
        ("-pull", "ImagePullBackOff"),
        ("-code-1", "PodInitializing"),
    ],
)
@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_secret_that_is_deleted_before_the_start_is_made_again(
    submit: Submit,
    make_runner: Callable[[], Runner],
    cluster: FakeKubernetes,
    suffix: str,
    reason: str,
    *,
    is_adopted: bool,
) -> None:
    runner, handle = submit()
    before = content(cluster)
    assert len(before) == 5
    name = f"{NAME}{suffix}"
    cluster.remove("secrets", name)
    let_wait(cluster, "pod", reason)
    if is_adopted:
        runner = make_runner()
        runner.take_over("key1")

    status = runner.inspect(handle)

    assert status.state is JobState.STARTING
    assert f"its Secret {name} was deleted, and has been made again" in (status.message or "")
    assert content(cluster) == before
    assert "was deleted" not in (runner.inspect(handle).message or "")


def test_nothing_is_asked_while_a_start_takes_its_usual_time(
    submit: Submit, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remedies, "USUAL_START_SECONDS", 60.0)
    runner, handle = submit()
    before = cluster.requests.total()

    assert runner.inspect(handle).message == "its pod is being created"

    assert cluster.requests.total() == before + 2


def test_a_login_that_the_registry_does_not_take_any_more_is_renewed(
    submit: Submit, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    runner, handle = submit()
    write_password(tmp_path, "new")
    let_wait(cluster, "pod", "ImagePullBackOff", "unauthorized")

    status = runner.inspect(handle)

    assert login(cluster) == b"ada:new"
    assert status.message == "its image cannot be pulled: unauthorized"


@pytest.mark.parametrize(
    ("suffix", "reason", "sentence"),
    [
        ("", "CreateContainerConfigError", "cannot be made again: This worker does not know the job's key"),
        ("-pull", "ErrImagePull", "cannot be made again: .*password"),
        ("-code-1", "PodInitializing", "cannot be made again: The job's files are not to be had"),
    ],
)
def test_one_that_cannot_be_made_again_is_named_with_the_reason(
    submit: Submit,
    make_runner: Callable[[], Runner],
    cluster: FakeKubernetes,
    job: Job,
    tmp_path: Path,
    suffix: str,
    reason: str,
    sentence: str,
) -> None:
    _, handle = submit()
    name = f"{NAME}{suffix}"
    cluster.remove("secrets", name)
    let_wait(cluster, "pod", reason)
    (job.directory / CODE_ARCHIVE).unlink()
    (tmp_path / "password").unlink()

    status = make_runner().inspect(handle)

    assert status.state is JobState.STARTING
    with pytest.raises(AssertionError, match=f"its Secret {name} was deleted, and {sentence}"):
        raise AssertionError(status.message)


def test_files_that_were_cut_short_are_told(submit: Submit, cluster: FakeKubernetes, job: Job) -> None:
    runner, handle = submit()
    cluster.remove("secrets", f"{NAME}-code-2")
    (job.directory / CODE_ARCHIVE).write_bytes(b"")

    assert "are not those that it was submitted with" in (runner.inspect(handle).message or "")


def test_what_a_pod_waits_for_is_told_in_the_words_of_its_last_event(submit: Submit, cluster: FakeKubernetes) -> None:
    runner, handle = submit()
    (pod,) = cluster.objects("pods")
    mount = 'MountVolume.SetUp failed for volume "data" : configmap "setings" not found.'
    tell(cluster, pod, "assigned", "Normal", reason="Scheduled", lastTimestamp="2026-01-01T00:00:09Z")
    tell(cluster, pod, mount, lastTimestamp="2026-01-01T00:00:10Z")
    tell(cluster, cluster.objects("jobs")[0], "of another object", lastTimestamp="2026-01-01T00:00:11Z")

    assert runner.inspect(handle).message == f"its pod is being created: {mount.rstrip('.')}"

    pulling = {"reason": "Pulling", "eventTime": "2026-01-01T00:00:10.500000Z"}
    tell(cluster, pod, 'Pulling image "python:3"', "Normal", **pulling)
    assert runner.inspect(handle).message == 'its pod is being created: Pulling image "python:3"'

    tell(cluster, pod, "Created container", "Normal", reason="Created", lastTimestamp="2026-01-01T00:00:12Z")
    assert runner.inspect(handle).message == "its pod is being created"


def test_a_job_that_may_have_no_pod_says_why(submit: Submit, cluster: FakeKubernetes) -> None:
    runner, handle = submit()
    cluster.remove("pods", "pod")
    tell(cluster, cluster.objects("jobs")[0], "pods are forbidden: exceeded quota", reason="FailedCreate")
    before = cluster.requests.total()

    assert runner.inspect(handle).message == "it has no pod yet: pods are forbidden: exceeded quota"

    assert cluster.requests.total() == before + 3, "its Secrets are no reason, and are not asked about"


def test_a_secret_that_an_event_names_is_made_again(submit: Submit, cluster: FakeKubernetes) -> None:
    runner, handle = submit()
    cluster.remove("secrets", f"{NAME}-code-2")
    (pod,) = cluster.objects("pods")
    tell(cluster, pod, f'MountVolume.SetUp failed for volume "code" : secret "{NAME}-code-2" not found')

    message = runner.inspect(handle).message or ""

    assert message.endswith(f"; its Secret {NAME}-code-2 was deleted, and has been made again")
    assert len(secrets(cluster)) == 5


@pytest.mark.parametrize("fault", [Fault("GET", "/events", 403), Fault("GET", "/events", 0)])
def test_an_agent_that_may_not_list_events_makes_secrets_again_all_the_same(
    submit: Submit, cluster: FakeKubernetes, fault: Fault
) -> None:
    runner, handle = submit()
    cluster.remove("secrets", f"{NAME}-code-0")
    cluster.fail(fault)

    assert (runner.inspect(handle).message or "").startswith("its pod is being created; its Secret")
    assert len(secrets(cluster)) == 5


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_remedy_that_is_refused_says_nothing_of_the_job_and_is_tried_again(
    submit: Submit, cluster: FakeKubernetes, method: str
) -> None:
    runner, handle = submit()
    cluster.remove("secrets", NAME)
    let_wait(cluster, "pod", "CreateContainerConfigError", "no Secret")
    cluster.fail(Fault(method, "/secrets", 403), Fault(method, "/secrets", 0))

    for _ in range(2):
        assert runner.inspect(handle).message == "its container cannot be configured: no Secret"
    runner.inspect(handle)

    assert NAME in secrets(cluster)
