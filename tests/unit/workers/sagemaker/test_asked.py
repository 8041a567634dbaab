"""What a job asks of SageMaker, what of it is granted, and the request that it becomes."""

from pathlib import Path
from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.policy_rules import SagemakerRules
from ipc.run_spec import Overrides, RunSpec
from tests.support.aws import ACCOUNT, ROLE, arguments
from workers.aws.requests import Caller
from workers.builders import Build
from workers.runners import LaunchRequest
from workers.sagemaker import asked, policy
from workers.sagemaker.request import job_name, role_arn, training_job

WORKLOAD = "launchd-0123456789abcdef-1"
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/agent")
OPEN = SagemakerRules(roles=("*",))


def refused(rules: SagemakerRules = OPEN, image: str | None = None, **more: Any) -> list[str]:
    return policy.refusals(asked.read(arguments(**more), {}), rules, image)


def request(launch: LaunchRequest | None = None, overrides: Overrides | None = None, **more: Any) -> dict[str, Any]:
    spec = RunSpec("entity", "project", "run1", "sagemaker", overrides=overrides or Overrides())
    found = asked.read(arguments(**more), {"image_uri": "built:1", "run_id": "run1"})
    return training_job(found, launch or launched(), spec, CALLER, WORKLOAD)


def launched(environment: dict[str, str] | None = None, **more: Any) -> LaunchRequest:
    entry_point = more.pop("entry_point", ("python", "train.py"))
    return LaunchRequest(
        WORKLOAD, entry_point, environment or {"A": "1"}, Path("/work"), Build(image="built:1"), **more
    )


# -- reading


@pytest.mark.parametrize("given", [None, {}, "text"])
def test_a_job_without_arguments_is_told_so(given: Any) -> None:
    with pytest.raises(InvalidSpec, match=r"needs resource_args\.sagemaker"):
        asked.read(given, {})


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidSpec, match=r"lacks OutputDataConfig, StoppingCondition\."):
        asked.read({"role_arn": ROLE, "ResourceConfig": {"InstanceType": "ml.m5.large"}}, {})


def test_a_value_of_another_type_is_named() -> None:
    with pytest.raises(InvalidSpec, match="InstanceCount must be a whole number"):
        asked.read(arguments(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": "one"}), {})


def test_keys_at_the_first_level_may_be_in_snake_case() -> None:
    found = asked.read(arguments(enable_network_isolation=True, environment={"B": "2"}, stays=None), {})

    assert found.fields["EnableNetworkIsolation"] is True
    assert found.fields["Environment"] == {"B": "2"}
    assert "stays" not in found.fields


def test_what_is_not_sagemakers_is_taken_away() -> None:
    found = asked.read(arguments(region="eu-west-1", profile="other", EcrRepoName="x", builder={"a": 1}), {})

    assert (found.region, found.profile) == ("eu-west-1", "other")
    assert found.fields.keys() == arguments().keys()


def test_macros_are_filled_at_any_depth() -> None:
    found = asked.read(arguments(InputDataConfig=[{"ChannelName": "${run_id}", "a": ["${other}"]}]), {"run_id": "r1"})

    assert found.fields["InputDataConfig"] == [{"ChannelName": "r1", "a": ["${other}"]}]


# -- the request


def test_the_request_has_image_command_variables_and_tags() -> None:
    made = request(
        launched({"A": "1", "B": "1"}, args=("--lr", "1")), Environment={"B": "2"}, Tags=[{"Key": "a", "Value": "b"}]
    )

    assert made["TrainingJobName"] == WORKLOAD
    assert made["AlgorithmSpecification"] == {
        "TrainingImage": "built:1",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "train.py"],
        "ContainerArguments": ["--lr", "1"],
    }
    assert made["Environment"] == {"A": "1", "B": "2", "LAUNCHD_JOB_NAME": WORKLOAD}
    assert made["Tags"] == [
        {"Key": "a", "Value": "b"},
        {"Key": "WandbRunId", "Value": "run1"},
        {"Key": "launchd:job", "Value": WORKLOAD},
    ]


def test_an_image_of_the_arguments_keeps_its_own_entry_point() -> None:
    overridden = request(overrides=Overrides(entry_point=("other",)), AlgorithmSpecification={"TrainingImage": "x"})

    assert "ContainerEntrypoint" not in request(AlgorithmSpecification={"TrainingImage": "x"})["AlgorithmSpecification"]
    assert overridden["AlgorithmSpecification"]["ContainerEntrypoint"] == ["other"]


def test_the_macro_for_the_image_is_the_jobs_image_with_its_entry_point() -> None:
    made = request(algorithm_specification={"TrainingImage": "${image_uri}", "TrainingInputMode": "Pipe"})

    assert made["AlgorithmSpecification"]["TrainingImage"] == "built:1"
    assert made["AlgorithmSpecification"]["ContainerEntrypoint"] == ["python", "train.py"]
    assert made["AlgorithmSpecification"]["TrainingInputMode"] == "Pipe"


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        (launched({"A": "x" * 513}), "there are A too long"),
        (launched({f"A{number}": "" for number in range(100)}), "there are 101 of them"),
        (launched(args=("x" * 257,)), "arguments of the job cannot be given"),
        (launched(entry_point=("x",) * 101), "entry point of the job cannot be given"),
    ],
)
def test_what_sagemaker_would_not_take_is_told_before(launch: LaunchRequest, said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        request(launch)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (None, WORKLOAD),
        ("train", f"train-{WORKLOAD}"),
        ("a_b c!", f"a-b-c-{WORKLOAD}"),
        ("---", WORKLOAD),
        ("x" * 80, f"{'x' * 36}-{WORKLOAD}"),
    ],
)
def test_a_name_that_was_asked_for_goes_before_the_workloads(wanted: str | None, name: str) -> None:
    assert job_name(wanted, WORKLOAD) == name
    assert len(name) <= 63


def test_a_bare_role_is_one_of_the_own_account() -> None:
    china = Caller(ACCOUNT, f"arn:aws-cn:iam::{ACCOUNT}:user/agent")

    assert role_arn("training", CALLER) == ROLE
    assert role_arn(ROLE, CALLER) == ROLE
    assert role_arn("training", china) == f"arn:aws-cn:iam::{ACCOUNT}:role/training"


# -- the policy


def test_no_role_is_granted_by_default() -> None:
    said = (
        f"RoleArn {ROLE} is not granted on this host, which grants: none"
        " (launchd.policy.sagemaker.roles in launch-config.yaml)."
    )
    assert refused(SagemakerRules()) == [said]


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"region": "eu-west-1"}, "regions"),
        ({"profile": "admin"}, "profiles"),
        ({"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": []}}, "subnets"),
        ({"VpcConfig": {"Subnets": [], "SecurityGroupIds": ["sg-1"]}}, "security_groups"),
        ({"DebugRuleConfigurations": []}, "fields"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "fields"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "KeepAlivePeriodInSeconds": 3600}}, "fields"),
        ({"AlgorithmSpecification": {"TrainingImageConfig": {}}}, "fields"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}, "instances"),
        ({"ResourceConfig": {"InstanceGroups": [{"InstanceType": "x", "InstanceCount": 2}]}}, "instances"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 101}}, "volume_gib"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 86401}}, "runtime_seconds"),
    ],
)
def test_what_no_rule_grants_is_refused_by_its_rule(more: dict[str, Any], rule: str) -> None:
    found = refused(**more)

    assert len(found) == 1
    assert f"(launchd.policy.sagemaker.{rule} in launch-config.yaml)" in found[0]


@pytest.mark.parametrize(
    ("more", "rules"),
    [
        ({"region": "eu-west-1"}, {"regions": ("eu-*",)}),
        ({"VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]}}, {"subnets": ("s",), "security_groups": ("g",)}),
        ({"ProfilerConfig": {}}, {"fields": ("ProfilerConfig",)}),
        (
            {"ResourceConfig": {"InstanceType": "a", "InstanceCount": 4, "VolumeSizeInGB": 500}},
            {"instances": 4, "volume_gib": 500},
        ),
    ],
)
def test_what_a_rule_grants_is_granted(more: dict[str, Any], rules: dict[str, Any]) -> None:
    assert refused(SagemakerRules(roles=("*",), **rules), **more) == []


def test_types_images_and_outputs_can_be_closed() -> None:
    closed = SagemakerRules(roles=("*",), instance_types=("ml.g5.*",), images=("team/*",), outputs=("s3://other/*",))

    said = refused(closed, "docker.io/evil", CheckpointConfig={"S3Uri": "s3://third/x"})

    assert [text.partition(" is not")[0] for text in said] == [
        "ResourceConfig.InstanceType ml.m5.large",
        "The image docker.io/evil",
        "The output address s3://bucket/output",
        "The output address s3://third/x",
    ]


def test_what_is_for_the_agent_is_not_sent() -> None:
    assert "launchd" not in asked.read(arguments(launchd={"max_runtime_seconds": 60}), {}).fields
