"""What a configuration names is looked at beside everything else, once, and again while the answer is no."""

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from ipc.diagnosis import About, Answer, CloudUse, ClusterUse, Hindrance, RegistryUse, Usable
from ipc.settings import BuilderConfig, EnvironmentConfig, KubernetesConfig
from launchd.agent import environments
from launchd.agent.environments import Environments, ask_workers, order_of_no_job, questions
from launchd.config import AgentConfig, LaunchdConfig, PolicyConfig
from tests.support.fake_kubernetes import fake_kubernetes
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.waiting import wait_until

PLAIN = AgentConfig(queues=("q",), launchd=LaunchdConfig(state_dir="/s", runtime_dir="/r"))
CLUSTER = replace(PLAIN, launchd=replace(PLAIN.launchd, policy=PolicyConfig(resources=("kubernetes",))))
ALL = replace(
    CLUSTER,
    environment=EnvironmentConfig("aws", "eu-west-1"),
    builder=BuilderConfig(type="docker", destination="registry.example/team/images"),
)


class Asker:
    """Answers at once, or once it may; knows what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[type[About]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._answers = list(answers)

    def __call__(self, about: About) -> Answer:
        self.may_answer.wait(30)
        self.asked.append(type(about))
        return self._answers.pop(0) if self._answers else Usable("It is there.")


def found(looker: Environments, count: int) -> list[tuple[str, bool, str]]:
    wait_until(lambda: len(looker.status()) == count, 10, "the answers")
    return [(one["name"], one["usable"], one["sentence"]) for one in looker.status()]


def test_what_the_configuration_names_is_asked_for() -> None:
    assert [type(one.about) for one in questions(ALL)] == [CloudUse, RegistryUse, ClusterUse]
    assert list(questions(PLAIN)) == []


@pytest.mark.parametrize(
    ("resources", "environment", "asked"),
    [
        # Without a cloud in the configuration, jobs there use its default credentials.
        (("sagemaker",), None, ["aws"]),
        (("vertex", "sagemaker"), None, ["aws", "gcp"]),
        (("vertex",), EnvironmentConfig("gcp", "us-central1", "p"), ["gcp"]),
        (("vertex",), EnvironmentConfig("aws", "eu-west-1"), ["aws", "gcp"]),
    ],
)
def test_the_clouds_that_jobs_may_ask_for_are_asked(
    resources: tuple[str, ...], environment: EnvironmentConfig | None, asked: list[str]
) -> None:
    policy = PolicyConfig(resources=resources)
    config = replace(PLAIN, environment=environment, launchd=replace(PLAIN.launchd, policy=policy))

    assert [one.name for one in questions(config)] == asked


@pytest.mark.parametrize(("resource", "asked"), [("local-container", ["kubernetes"]), ("local-process", [])])
def test_a_cluster_that_images_are_built_in_is_asked(resource: str, asked: list[str]) -> None:
    policy = PolicyConfig(resources=(resource,))
    builder = BuilderConfig(type="buildah-pod")
    config = replace(PLAIN, builder=builder, launchd=replace(PLAIN.launchd, policy=policy))

    assert [one.name for one in questions(config)] == asked


def test_answers_are_kept_with_their_sentences() -> None:
    looker = Environments(Asker(Usable("As ada."), Hindrance("It is away.", "Wait."), Usable("It answers.")))

    looker.look(ALL)

    assert found(looker, 3) == [
        ("aws", True, "As ada."),
        ("registry", False, "It is away."),
        ("kubernetes", True, "It answers."),
    ]
    assert looker.status()[1]["hint"] == "Wait."


def test_an_answer_that_never_comes_delays_nothing() -> None:
    asker = Asker()
    asker.may_answer.clear()
    looker = Environments(asker)

    began = time.monotonic()
    for _ in range(100):
        looker.look(ALL)

    assert time.monotonic() - began < 1
    assert looker.status() == []
    asker.may_answer.set()
    found(looker, 3)
    assert len(asker.asked) == 3


def test_it_is_asked_again_for_another_configuration_and_after_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    asker = Asker(Hindrance("It is away."))
    looker = Environments(asker)
    looker.look(CLUSTER)
    assert found(looker, 1) == [("kubernetes", False, "It is away.")]
    looker.look(CLUSTER)
    assert len(asker.asked) == 1

    monkeypatch.setattr(environments, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(looker, "_ask_again_at", 0.0)

    def has_answered() -> bool:
        looker.look(CLUSTER)
        return bool(looker.status()[0]["usable"])

    wait_until(has_answered, 10, "the second answer")
    asked = len(asker.asked)
    looker.look(CLUSTER)
    assert len(asker.asked) == asked

    def is_forgotten() -> bool:
        looker.look(PLAIN)
        return looker.status() == []

    wait_until(is_forgotten, 10, "the other configuration")


def test_an_error_while_asking_is_logged_and_the_agent_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: About) -> Answer:
        raise RuntimeError("a defect")

    looker = Environments(fail)
    looker.look(CLUSTER)

    wait_until(lambda: "could not be looked at" in caplog.text, 10, "the log")
    assert looker.status() == []


def test_a_kubeconfig_that_is_no_yaml_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("clusters: [")

    said = ask_workers(ClusterUse(KubernetesConfig(config_file=str(tmp_path / "kubeconfig"))), {"HOME": str(tmp_path)})

    assert isinstance(said, Hindrance)
    assert " of this host cannot be used: while parsing" in said.why


# -- a process that may load SDKs


class _Metadata(QuietHandler):
    """The metadata service of Google Cloud, as a pod with an identity there sees it (workload identity of GKE)."""

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        answers = {
            "/": b"",
            "/computeMetadata/v1/project/project-id": b"pods-project",
            "/computeMetadata/v1/instance/service-accounts/default/token": (
                b'{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}'
            ),
            "/computeMetadata/v1/instance/service-accounts/default/": (
                b'{"email": "pod@pods-project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}'
            ),
        }
        found = answers.get(self.path.partition("?")[0])
        kind = "application/json" if found and found.startswith(b"{") else "text/plain"
        headers = {"Metadata-Flavor": "Google", "Content-Type": kind}
        self.answer(404 if found is None else 200, found or b"", headers)


def test_a_pods_identity_at_google_is_used(tmp_path: Path) -> None:
    with serving(LocalServer(_Metadata)) as metadata:
        place = metadata.url.removeprefix("http://")
        environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GCE_METADATA_HOST": place, "GCE_METADATA_IP": place}
        cloud = EnvironmentConfig("gcp", "us-central1")
        answer = ask_workers(CloudUse(cloud, order_of_no_job(PLAIN, None)), environ)

    assert answer == Usable(
        "This host speaks to Google Cloud as pod@pods-project.iam.gserviceaccount.com, in the project pods-project and"
        " the region us-central1."
    )


def test_a_cluster_says_what_it_grants(tmp_path: Path) -> None:
    with fake_kubernetes() as cluster:
        settings = KubernetesConfig(
            config_file=str(cluster.write_config(tmp_path / "kubeconfig")), namespace="training"
        )
        granted = ask_workers(ClusterUse(settings), {"HOME": str(tmp_path)})
        cluster.denied = {("list", "events")}
        without_events = ask_workers(ClusterUse(settings), {"HOME": str(tmp_path)})
        cluster.denied = {("create", "secrets"), ("get", "pods")}
        denied = ask_workers(ClusterUse(settings), {"HOME": str(tmp_path)})

    assert granted == Usable(
        "The Kubernetes cluster (v1.0-fake) answers, and grants what jobs need in the namespace training."
    )
    assert without_events == Usable(
        f"{granted.sentence} Without the right to list events there, it is not always told why a job waits."
    )
    assert isinstance(denied, Hindrance)
    assert denied.why == (
        "The cluster does not grant the agent in the namespace training: get pods/log, create secrets."
    )
    assert "docs/kubernetes.md" in denied.hint


def test_a_cluster_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    with fake_kubernetes() as cluster:
        settings = KubernetesConfig(config_file=str(cluster.write_config(tmp_path / "kubeconfig")))

    away = ask_workers(ClusterUse(settings), {"HOME": str(tmp_path)})

    assert isinstance(away, Hindrance)
    assert away.why.startswith("The Kubernetes API does not answer: ")


def test_what_hangs_is_ended_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = tmp_path / "token"
    hangs.write_text("#!/bin/sh\nsleep 600\n")
    hangs.chmod(0o700)
    config = tmp_path / "kubeconfig"
    config.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster":'
        ' {"server": "http://127.0.0.1:9"}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],'
        ' "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command":'
        f' "{hangs}", "interactiveMode": "Never"}}}}}}]}}'
    )
    monkeypatch.setattr(environments, "WORKER_SECONDS", 3.0)

    late = ask_workers(ClusterUse(KubernetesConfig(config_file=str(config))), {"HOME": str(tmp_path), "PATH": "/bin"})

    assert late == Hindrance("There was no answer within 3 s.")
