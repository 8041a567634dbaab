"""The training jobs that W&B's agent creates and those that this one creates for the same run specs, compared.

Both send their requests to the same AWS on loopback. A difference is one of :data:`DIFFERENCES`, which are listed with
their reasons in docs/compatibility.md, or a fault.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.policy_rules import PolicyRules, SagemakerRules
from tests.compat.both_agents import FOR_ANY_TARGET, create_here, created_by_wandb, image_spec, numbered
from tests.support.aws import FakeAws, arguments

CREATE = "SageMaker.CreateTrainingJob"
SCRIPT = Path(__file__).parent / "scripts" / "training_jobs.py"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/train:1"
GRANTED = SagemakerRules(
    roles=("*",),
    subnets=("*",),
    security_groups=("*",),
    fields=("*",),
    instances=100,
    runtime_seconds=10**7,
    volume_gib=10**4,
)


def spec(**more: Any) -> dict[str, Any]:
    """Return a run spec of an image; ``sagemaker`` are arguments beside those that every job needs."""
    return image_spec("sagemaker", IMAGE, arguments(**more.pop("sagemaker", {})), **more)


def overridden(**overrides: Any) -> dict[str, Any]:
    return spec(overrides=overrides)


def asking(**given: Any) -> dict[str, Any]:
    return spec(sagemaker=given)


GROUPS = [{"InstanceType": "ml.m5.large", "InstanceCount": 2, "InstanceGroupName": "a"}]
MACHINE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
METRICS = [{"Name": "loss", "Regex": "loss=(.*)"}]
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/${run_id}"}},
}
RUN_CONFIGS: list[dict[str, Any]] = [
    {},
    {"lr": 0.1},
    {"text": "ü" * 20},
    {"text": "x" * 499},
    {"text": "x" * 500},
    {"text": "x" * 501},
    {"text": "x" * 2000},
    {"nested": {"list": [1, None, True]}},
]

CORPUS: list[dict[str, Any]] = [
    *(spec(**one) for one in FOR_ANY_TARGET),
    *(overridden(run_config=config) for config in RUN_CONFIGS),
    overridden(entry_point=["python", "train.py"]),
    overridden(entry_point=["python", "train.py"], args=["--lr", "0.1", "two words", "${run_id}"]),
    overridden(entry_point=["sh", "-c", 'echo "$HOME"']),
    overridden(files={"config.yaml": {"a": "y" * 1500}}),
    overridden(dockerfile="Dockerfile"),
    spec(_resume_count=0),
    spec(name="n", author="a", sweep_id="s", _resume_count=1, overrides={"run_config": {"a": 1}, "args": ["x"]}),
    asking(RoleArn="training"),
    asking(RoleArn=None, role_arn="training"),
    asking(RoleArn=None, role_arn="arn:aws:iam::123456789012:role/service-role/training"),
    asking(Environment={"A": "1"}),
    asking(Environment={"WANDB_NAME": "mine", "WANDB_BASE_URL": "https://other"}),
    asking(Environment={"A": "${run_id}", "B": "${project_name}/${entity_name}", "C": "${unknown}"}),
    asking(Environment={"A": "${image_uri}"}),
    asking(Tags=[{"Key": "team", "Value": "vision"}]),
    asking(Tags=[{"Key": "team", "Value": "${author}"}, {"Key": "run", "Value": "${run_id}"}]),
    asking(HyperParameters={"epochs": "3"}),
    asking(hyper_parameters={"epochs": "3", "name": "${run_name}"}),
    asking(InputDataConfig=[CHANNEL]),
    asking(input_data_config=[CHANNEL]),
    asking(OutputDataConfig={"S3OutputPath": "s3://bucket/${project_name}/${run_id}"}),
    asking(OutputDataConfig={"S3OutputPath": "s3://bucket", "KmsKeyId": "key", "CompressionType": "NONE"}),
    asking(ResourceConfig={"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 2, "VolumeSizeInGB": 500}),
    asking(ResourceConfig={"InstanceGroups": GROUPS, "VolumeSizeInGB": 10}),
    asking(ResourceConfig={**MACHINE, "KeepAlivePeriodInSeconds": 60}),
    asking(StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}, EnableManagedSpotTraining=True),
    asking(VpcConfig={"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
    asking(vpc_config={"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
    asking(EnableNetworkIsolation=True),
    asking(enable_network_isolation=True, enable_inter_container_traffic_encryption=True),
    asking(CheckpointConfig={"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/opt/ml/checkpoints"}),
    asking(checkpoint_config={"S3Uri": "s3://bucket/checkpoints/${run_id}"}),
    asking(RetryStrategy={"MaximumRetryAttempts": 3}),
    asking(TensorBoardOutputConfig={"S3OutputPath": "s3://bucket/tensorboard"}),
    asking(ProfilerConfig={"S3OutputPath": "s3://bucket/profile"}),
    asking(RemoteDebugConfig={"EnableRemoteDebug": False}),
    asking(AlgorithmSpecification={"TrainingInputMode": "Pipe"}),
    asking(algorithm_specification={"TrainingInputMode": "FastFile"}),
    asking(AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "other/image:2"}),
    asking(AlgorithmSpecification={"TrainingInputMode": "File", "MetricDefinitions": METRICS}),
    asking(EcrRepoName="repository"),
    asking(VpcConfig=None, Tags=None, HyperParameters=None),
    {**asking(AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "other/image:2"}),
     "overrides": {"entry_point": ["python", "x.py"], "args": ["1"]}},
    asking(TrainingJobName="train-${run_id}"),
    asking(AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "${image_uri}"}),
    asking(environment={"A": "1"}),
]  # fmt: skip

Request = dict[str, Any]
Sent = tuple[list[Request | str], list[Request]]


def name_ends_with_the_workload(theirs: Request, ours: Request) -> bool:
    """Names are never free again at SageMaker, and a queue's jobs all ask for the same one."""
    own = ours.pop("TrainingJobName")
    asked_for = theirs.pop("TrainingJobName")
    return own.endswith(workload(theirs)) and (own.startswith(asked_for) or asked_for == run_id(theirs))


def tag_names_the_job(theirs: Request, ours: Request) -> bool:
    """A training job can be found by its tag."""
    return ours["Tags"].pop() == {"Key": "launchd:job", "Value": workload(theirs)}


def variable_names_the_job(theirs: Request, ours: Request) -> bool:
    """The job is known to be the own by it."""
    return ours["Environment"].pop("LAUNCHD_JOB_NAME") == workload(theirs)


def macro_for_the_image_is_filled(theirs: Request, ours: Request) -> bool:
    """W&B's agent sends the macro itself as the image's name."""
    if theirs["AlgorithmSpecification"]["TrainingImage"] == "${image_uri}":
        theirs["AlgorithmSpecification"]["TrainingImage"] = IMAGE
    return ours["AlgorithmSpecification"]["TrainingImage"] != "${image_uri}"


DIFFERENCES: tuple[Callable[[Request, Request], bool], ...] = (
    name_ends_with_the_workload,
    tag_names_the_job,
    variable_names_the_job,
    macro_for_the_image_is_filled,
)

#: What W&B's agent fails with, and this one does not: for tags that are null, and for ``environment`` in small letters.
ONLY_HERE = ("'NoneType' object has no attribute 'append'", 'Unknown parameter in input: "environment"')


def run_id(request: Request) -> str:
    return str(request["Environment"]["WANDB_RUN_ID"])


def workload(request: Request) -> str:
    return f"launchd-{run_id(request)}-1"


@pytest.fixture
def sent(aws: FakeAws, tmp_path: Path) -> Sent:
    """What both sent, in the order of the corpus; a text where W&B's agent failed."""
    aws.runs_commands = False
    corpus = numbered(CORPUS)
    environ = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    errors: list[str | None] = created_by_wandb(SCRIPT, corpus, IMAGE, tmp_path, environ)["errors"]
    requests = iter(aws.asked(CREATE))
    theirs = [error or next(requests) for error in errors]
    before = len(aws.asked(CREATE))
    for one in corpus:
        create_here(one, IMAGE, tmp_path, policy=PolicyRules(sagemaker=GRANTED))
    return theirs, aws.asked(CREATE)[before:]


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


@pytest.mark.timeout(180)
def test_each_training_job_is_wandbs_but_for_what_is_listed(sent: Sent) -> None:
    theirs, ours = sent
    assert len(theirs) == len(ours) == len(CORPUS)

    refused = [one for one in theirs if type(one) is str]
    assert [said for said, why in zip(refused, ONLY_HERE, strict=True) if why not in said] == []
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if type(their) is dict:
            different = [differs.__name__ for differs in DIFFERENCES if not differs(their, our)]
            assert (different, our) == ([], their), f"spec {number}"


def test_every_difference_is_listed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()

    for words in ("TrainingJobName", "launchd:job", "LAUNCHD_JOB_NAME", "${image_uri}", "environment", "Tags"):
        assert f"`{words}`" in page
