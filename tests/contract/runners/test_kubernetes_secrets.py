"""What a job in a cluster is given beside its manifest: a login to the agent's registry, and files in no image."""

import base64
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import HostError, PolicyRefused, SourceError, SubmitError
from ipc.settings import KubernetesConfig, RegistryAccess, RegistryConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.fake_kubernetes import FakeKubernetes, Fault, fake_kubernetes
from tests.support.job_contexts import heard, make_context
from workers.builders import Build
from workers.context import JobContext
from workers.kubernetes.archives import CODE_ARCHIVE, PART_BYTES, pack
from workers.runners import LaunchRequest, Runner, create_runner

__all__ = ["heard", "make_context"]

HOST = "registry.example:5000"

RunnerMaker = Callable[..., tuple[Runner, LaunchRequest]]


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as running:
        yield running


@pytest.fixture
def make_runner(tmp_path: Path, cluster: FakeKubernetes) -> RunnerMaker:
    """A runner whose agent has a registry with a password, and the request to start a job of ``image``."""
    password = tmp_path / "password"
    password.write_text("secret of the registry")
    password.chmod(0o600)
    access = RegistryAccess(username="ada", password_file=str(password), docker_config="/nonexistent")

    def make(
        image: str,
        build: Build | None = None,
        *,
        pulls: bool = True,
        claim: dict[str, Any] | None = None,
        **manifest: Any,
    ) -> Any:
        file = str(cluster.write_config(tmp_path / "kubeconfig"))
        config = KubernetesConfig(file, pull_secrets=pulls, **(claim or {}))
        job = Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="kubernetes",
            command=("sh", "-c", "true"),
            image=image,
            knobs=manifest,
            kubernetes=config,
        )
        order = msgspec.structs.replace(
            job.order, registry=RegistryConfig("plain", f"{HOST}/team/images"), registry_access=access
        )
        launch = msgspec.structs.replace(job.launch, build=build or Build(image=image))
        launch.environment["WANDB_API_KEY"] = "key1"
        runner = create_runner(order, ())
        runner.validate()
        return runner, launch

    return make


def pod_of(cluster: FakeKubernetes) -> dict[str, Any]:
    (job,) = cluster.objects("jobs")
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def test_a_job_pulls_from_the_agents_registry_with_a_secret_that_goes_with_it(
    make_runner: RunnerMaker, cluster: FakeKubernetes
) -> None:
    own = {"spec": {"template": {"spec": {"imagePullSecrets": [{"name": "of-the-team"}], "containers": [{}]}}}}
    runner, launch = make_runner(f"{HOST}/team/images:1", **own)

    handle = runner.submit(launch)

    assert pod_of(cluster)["imagePullSecrets"] == [{"name": "of-the-team"}, {"name": f"{NAME}-pull"}]
    (pull,) = [one for one in cluster.objects("secrets") if one["metadata"]["name"] == f"{NAME}-pull"]
    config = json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"][HOST]["auth"]) == b"ada:secret of the registry"
    assert pull["metadata"]["ownerReferences"][0]["uid"] == handle.data["uid"]
    assert wait_for_end(runner, handle).state is JobState.FINISHED
    runner.delete(handle)
    assert cluster.objects("secrets") == []


@pytest.mark.parametrize(("image", "pulls"), [("docker.io/library/python:3", True), (f"{HOST}/team/images:1", False)])
def test_other_images_and_agents_that_may_not_get_none(
    make_runner: RunnerMaker, cluster: FakeKubernetes, image: str, pulls: bool
) -> None:
    runner, launch = make_runner(image, pulls=pulls)

    runner.submit(launch)

    assert "imagePullSecrets" not in pod_of(cluster)
    assert [one["metadata"]["name"] for one in cluster.objects("secrets")] == [NAME]


@pytest.mark.parametrize(
    "pod",
    [
        {"volumes": [{"name": "v", "secret": {"secretName": "launchd-other-1"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "launchd-other-1-pull"}}]}}]},
        {"containers": [{"envFrom": [{"secretRef": {"name": f"{NAME}-pull"}}]}]},
        {"imagePullSecrets": [{"name": "own"}, {"name": "launchd-other-1-pull"}]},
        {
            "containers": [
                {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "launchd-other-1", "key": "password"}}}]}
            ]
        },
    ],
)
def test_no_job_names_a_secret_that_an_agent_has_made(make_runner: RunnerMaker, pod: dict[str, Any]) -> None:
    with pytest.raises(PolicyRefused, match="no job may name it"):
        make_runner("train:1", spec={"template": {"spec": {"containers": [{}], **pod}}})


def test_code_in_no_image_is_unpacked_before_the_job_begins(
    make_runner: RunnerMaker, cluster: FakeKubernetes, make_context: Callable[..., JobContext], tmp_path: Path
) -> None:
    code = packed(tmp_path, os.urandom(2 * PART_BYTES))
    runner, launch = make_runner("python:3.12-slim", Build(image="python:3.12-slim", code=str(code)))
    runner.fetch_built(launch.build, make_context())

    handle = runner.submit(msgspec.structs.replace(launch, place="train"))

    pod = pod_of(cluster)
    (unpack,) = pod["initContainers"]
    (container,) = pod["containers"]
    assert unpack["image"] == container["image"] == "python:3.12-slim"
    assert container["workingDir"] == "/mnt/wandb/train"
    parts = sorted(one["metadata"]["name"] for one in cluster.objects("secrets") if "-code-" in one["metadata"]["name"])
    assert parts == [f"{NAME}-code-{number}" for number in range(3)]
    assert "train/main.py" in "".join(members(cluster, parts))
    runner.delete(handle)
    assert cluster.objects("secrets") == []


def claim_in(directory: Path) -> dict[str, Any]:
    """Return the settings for a claim that is mounted at ``directory``, which is made."""
    directory.mkdir()
    return {"code_claim": "code", "code_claim_directory": str(directory)}


def test_code_reaches_the_pod_through_a_claim_and_is_gone_with_the_job(
    make_runner: RunnerMaker, cluster: FakeKubernetes, make_context: Callable[..., JobContext], tmp_path: Path
) -> None:
    code = packed(tmp_path, os.urandom(21 * PART_BYTES))
    build = Build(image="python:3.12-slim", code=str(code))
    runner, launch = make_runner("python:3.12-slim", build, claim=claim_in(tmp_path / "claim"))
    runner.fetch_built(launch.build, make_context())

    handle = runner.submit(launch)

    pod = pod_of(cluster)
    (mount,) = [one for one in pod["initContainers"][0]["volumeMounts"] if one["name"] == "launchd-source-code"]
    assert (mount["subPath"], mount["readOnly"]) == (NAME, True)
    assert {"name": mount["name"], "persistentVolumeClaim": {"claimName": "code"}} in pod["volumes"]
    assert not [one for one in cluster.objects("secrets") if "-code-" in one["metadata"]["name"]]
    with tarfile.open(tmp_path / "claim" / NAME / "code.tgz") as archive:
        assert "./train/main.py" in archive.getnames()
    runner.delete(handle)
    assert list((tmp_path / "claim").iterdir()) == []


def test_code_that_others_remove_from_a_claim_before_the_start_is_put_there_again(
    make_runner: RunnerMaker, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    cluster.runs_pods = False
    code = packed(tmp_path, b"")
    runner, launch = make_runner("train:1", Build(image="train:1", code=str(code)), claim=claim_in(tmp_path / "claim"))
    code.rename(tmp_path / "state" / "jobs" / NAME / CODE_ARCHIVE)
    kept = msgspec.structs.replace(launch, build=Build(image="train:1", code=str(launch.work.parent / CODE_ARCHIVE)))
    handle = runner.submit(kept)
    shutil.rmtree(tmp_path / "claim" / NAME)

    assert runner.inspect(handle).state is JobState.STARTING

    assert (tmp_path / "claim" / NAME / CODE_ARCHIVE).read_bytes() == Path(kept.build.code or "").read_bytes()


def test_code_of_a_job_that_is_refused_does_not_stay_in_a_claim(
    make_runner: RunnerMaker, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    build = Build(image="train:1", code=str(packed(tmp_path, b"")))
    runner, launch = make_runner("train:1", build, claim=claim_in(tmp_path / "claim"))
    cluster.fail(Fault("POST", "/jobs", 403))

    with pytest.raises(SubmitError):
        runner.submit(launch)

    assert list((tmp_path / "claim").iterdir()) == []


def test_a_secret_that_is_refused_leaves_none_of_the_others(make_runner: RunnerMaker, cluster: FakeKubernetes) -> None:
    runner, launch = make_runner(f"{HOST}/team/images:1")
    cluster.fail(Fault("POST", "/secrets", 403, after=True))

    with pytest.raises(SubmitError):
        runner.submit(launch)

    assert cluster.created.total() == 1
    assert cluster.objects("secrets") == []


def test_no_job_names_the_claim_and_half_a_claim_is_told(make_runner: RunnerMaker, tmp_path: Path) -> None:
    volumes = [{"name": "x", "persistentVolumeClaim": {"claimName": "code"}}]
    pod = {"template": {"spec": {"containers": [{}], "volumes": volumes}}}

    with pytest.raises(PolicyRefused, match="The claim code is the agent's, and no job may name it"):
        make_runner("train:1", claim=claim_in(tmp_path / "claim"), spec=pod)
    with pytest.raises(HostError, match="It is not said where this host has the claim code"):
        make_runner("train:1", claim={"code_claim": "code"})


def packed(tmp_path: Path, filling: bytes) -> Path:
    files = tmp_path / "files"
    (files / "train").mkdir(parents=True)
    (files / "train" / "main.py").write_text("print()")
    (files / "filling").write_bytes(filling)
    pack(files, tmp_path / "code.tgz")
    return tmp_path / "code.tgz"


def members(cluster: FakeKubernetes, parts: list[str]) -> list[str]:
    found = {one["metadata"]["name"]: one["data"] for one in cluster.objects("secrets")}
    data = b"".join(base64.b64decode(text) for name in parts for text in found[name].values())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_code_that_is_too_large_for_that_says_so(
    make_runner: RunnerMaker, make_context: Callable[..., JobContext], tmp_path: Path
) -> None:
    code = tmp_path / "code.tgz"
    with code.open("wb") as file:
        file.truncate(21 * PART_BYTES)
    runner, launch = make_runner("python:3.12-slim", Build(image="python:3.12-slim", code=str(code)))

    with pytest.raises(SourceError, match="too many to reach a pod in no image"):
        runner.fetch_built(launch.build, make_context())


def test_what_was_made_for_a_job_that_never_came_to_be_is_removed(
    make_runner: RunnerMaker, cluster: FakeKubernetes, tmp_path: Path
) -> None:
    code = packed(tmp_path, b"")
    image = f"{HOST}/team/images:1"
    runner, launch = make_runner(image, Build(image=image, code=str(code)))
    cluster.fail(Fault("POST", "/jobs", 403))

    with pytest.raises(SubmitError):
        runner.submit(launch)
    assert cluster.objects("secrets") == []

    cluster.fail(Fault("POST", "/jobs", 500))
    with pytest.raises(Exception, match="error of its own"):
        runner.submit(launch)
    assert len(cluster.objects("secrets")) == 3
    assert runner.find(NAME) is None
    assert cluster.objects("secrets") == []
