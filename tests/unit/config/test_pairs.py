"""What is missing beside what a configuration says, or has no effect, is said with what to do."""

import pytest

from ipc.settings import RegistryConfig
from launchd.config import Flags
from launchd.config.images import push_target
from tests.unit.config.conftest import Read, Refuse

AWS = "environment: {type: aws, region: us-east-1}\n"
GCP = "environment: {type: gcp, region: us-central1, project: p}\n"
ECR = "registry: {type: ecr, repository: jobs}\n"
STORE = "build-context-store: s3://bucket/prefix"


@pytest.mark.parametrize(
    "text",
    [
        f"{AWS}{ECR}builder: {{type: kaniko, {STORE}, build-job-name: builds, secret-name: a, secret-key: b}}",
        f"{GCP}registry: {{type: gcr, repository: r, image-name: i}}\nbuilder: {{type: docker}}",
        "registry: {type: acr, uri: name.azurecr.io/jobs}\nenvironment: {type: azure}",
        "registry: {type: local}",
        "builder: {type: buildah-pod, destination: name.azurecr.io/jobs}",
        "launchd: {policy: {resources: [sagemaker], sagemaker: {roles: [training]}}}",
        "launchd: {kubernetes: {namespace: team-a}, policy: {resources: [kubernetes], kubernetes: {namespaces: [t*]}}}",
        "launchd: {kubernetes: {code_claim: code, code_claim_directory: /mnt/code}}",
        "launchd: {policy: {resources: [gcp-vertex, vertex, kubernetes]}}",
    ],
)
def test_nothing_is_said_of_what_is_whole(read: Read, text: str) -> None:
    assert read(text).warnings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ECR, "takes its region from environment.type aws, and there is none: the usual settings of AWS"),
        (f"{GCP}{ECR}", "takes its region from environment.type aws, and it is gcp"),
        (f"{AWS}registry: {{type: ecr}}", "will fail: set registry.repository, or builder.destination"),
        (f"{GCP}registry: {{type: gcr, repository: r}}", "set registry.repository and registry.image-name"),
        ("registry: {type: acr, repository: r}", "set registry.uri: https://REGISTRY.azurecr.io/REPOSITORY"),
        ("registry: {repository: r}", "set registry.type (ecr, gcr or acr)"),
        (f"{ECR}builder: {{type: docker, destination: name.azurecr.io/x}}", "builder.destination goes before it"),
        ("registry: {type: ecr, uri: us-docker.pkg.dev/p/r/i}", "of the type gcr: write that, and not ecr"),
        (f"builder: {{type: kaniko, {STORE}}}", "kaniko pushes what it builds, and no registry is named"),
        (f"{AWS}{ECR}builder: {{type: kaniko}}", "without build-context-store, or a claim"),
        (f"{GCP}{ECR}builder: {{type: kaniko, {STORE}}}", "a store of aws, and environment.type is gcp"),
        (f"builder: {{type: docker, {STORE}}}", "it has an effect with the builder kaniko alone"),
        ("builder: {type: noop, build-job-name: x}", "with the builder kaniko or buildah-pod alone"),
        ("launchd: {policy: {resources: [sagemaker]}}", "every job for sagemaker is refused: name those of jobs"),
        (
            "launchd: {kubernetes: {namespace: a}, policy: {resources: [kubernetes], kubernetes: {namespaces: [b]}}}",
            "the agent's own, a (launchd.kubernetes.namespace), is not among them",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(read: Read, text: str, said: str) -> None:
    assert [one for one in read(text).warnings if said in one], read(text).warnings


def test_a_rule_that_several_queues_share_is_said_once(read: Read) -> None:
    text = "queues: [a, b, c]\nlaunchd: {policy: {resources: [sagemaker], queues: {c: {}}}}"

    found = [one for one in read(text, Flags()).warnings if "none is granted" in one]

    assert [one.split(": ")[1] for one in found] == [
        "launchd.policy.sagemaker.roles",
        "launchd.policy.queues.c.sagemaker.roles",
    ]


def test_a_claim_needs_its_directory_which_wandbs_variable_may_name(read: Read, refuse: Refuse) -> None:
    text = "launchd: {kubernetes: {code_claim: code}}"

    (sentence,) = refuse(text)
    assert "code_claim and code_claim_directory go together: give both or neither" in sentence
    assert read(text, WANDB_LAUNCH_CODE_PVC_MOUNT_PATH="/mnt/code").warnings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("launchd: {policy: {resources: [vertexai]}}", "has 'vertexai', which is no resource (vertex is one)"),
        ("launchd: {policy: {resources: [slurm]}}", "'slurm', which is no resource: it is local-process,"),
        ("launchd: {kubernetes: {namespace: Team_1}}", "'Team_1' must be a namespace: small letters"),
    ],
)
def test_what_there_is_not_is_refused(refuse: Refuse, text: str, said: str) -> None:
    (sentence,) = refuse(text)

    assert said in sentence


def test_a_region_of_another_cloud_is_none_of_the_registrys(read: Read) -> None:
    found = read(f"{GCP}registry: {{type: ecr, account_id: '123456789012', repository: jobs}}").config

    target = push_target(found.builder, found.registry, found.environment)

    assert target == RegistryConfig("ecr", account_id="123456789012", repository="jobs")
