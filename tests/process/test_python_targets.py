"""`launch` on a cluster or a cloud: a program's own agent acts with all the rights of its user there."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launchd import ExecutionError, LaunchError, launch
from launchd.api.embedded import launcher
from launchd.config import from_values
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.server import Account

IMAGE = "registry.example/train:1"
SAY = ["sh", "-c", 'echo "in the cluster as $WANDB_NAME"']


@pytest.fixture
def cluster(
    account: Account, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeKubernetes]:
    """A cluster that the kubeconfig of the program's user names."""
    with fake_kubernetes() as running:
        values = {
            "WANDB_BASE_URL": account.url,
            "WANDB_API_KEY": account.key,
            "LAUNCHD_STATE_DIR": str(tmp_path_factory.mktemp("state")),
            "KUBECONFIG": str(running.write_config(tmp_path / "kubeconfig")),
        }
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        yield running
        launcher.end_all()


def test_a_job_runs_in_the_cluster_of_the_users_kubeconfig(cluster: FakeKubernetes) -> None:
    run = launch(resource="kubernetes", docker_image=IMAGE, entry_point=SAY, name="a run")

    assert (run.status, run.logs()) == ("finished", "in the cluster as a run\n")
    assert [name for name in cluster.created if name.startswith("jobs/")]
    assert cluster.objects("jobs") == cluster.objects("secrets") == []


def test_what_the_user_may_ask_of_the_cluster_the_job_may_ask(cluster: FakeKubernetes, tmp_path: Path) -> None:
    other = shutil.copy(tmp_path / "kubeconfig", tmp_path / "other")
    pod = {"hostNetwork": True, "serviceAccountName": "trainer", "securityContext": {"runAsUser": 1000}}
    asked = {"configFile": str(other), "context": "fake", "spec": {"template": {"spec": pod}}}

    run = launch(resource="kubernetes", docker_image=IMAGE, entry_point=SAY, resource_args={"kubernetes": asked})

    assert run.status == "finished"
    assert cluster.created


@pytest.mark.usefixtures("cluster")
def test_source_code_needs_a_builder_that_pushes_and_the_failure_says_so(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "main.py").write_text("print('hello')\n")

    with pytest.raises(ExecutionError, match="registry"):
        launch(resource="kubernetes", config={"uri": str(code), "builder": {"type": "buildah"}}, entry_point=SAY)


@pytest.mark.usefixtures("cluster")
def test_a_resource_that_there_is_not_is_a_sentence() -> None:
    with pytest.raises(LaunchError, match="slurm"):
        launch(resource="slurm", docker_image=IMAGE, entry_point=SAY)


@pytest.mark.parametrize("resource", ["kubernetes", "sagemaker", "gcp-vertex", "vertex", "local-container"])
def test_the_policy_grants_the_resource_and_all_that_the_user_may(tmp_path: Path, resource: str) -> None:
    sections: dict[str, Any] = launcher.sections_of({"epochs": 3}, resource)
    config = launcher.agent_config(sections, "team", tmp_path, tmp_path)

    rules = from_values(config, {"HOME": str(tmp_path)}).config.launchd.policy

    assert set(rules.resources) & {resource, "vertex"}
    assert rules.allow_local_git
    assert "*" in rules.kubernetes.service_accounts
    assert "*" in rules.vertex.service_accounts
    assert resource != "sagemaker" or rules.sagemaker.roles == ("*",)


def test_what_the_program_says_itself_goes_before(tmp_path: Path) -> None:
    given = {"launchd": {"policy": {"kubernetes": {"namespaces": ["mine"]}, "allow_local_git": False}}}
    config = launcher.agent_config(launcher.sections_of(given, "kubernetes"), "team", tmp_path, tmp_path)

    rules = from_values(config, {"HOME": str(tmp_path)}).config.launchd.policy

    assert (rules.kubernetes.namespaces, rules.kubernetes.config_files) == (("mine",), ("/",))
    assert not rules.allow_local_git
