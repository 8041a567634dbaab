"""The request for a training job: what W&B's agent (0.20.1) sends for the same job, but for its mistakes. Pure.

The name is the workload's, behind the one that the job asks for, so that no two are alike. ``${image_uri}`` is filled
wherever it stands.
"""

import re
from typing import Any

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from workers.aws.requests import Caller
from workers.job_environment import JOB_NAME_VARIABLE
from workers.runners import LaunchRequest
from workers.sagemaker.asked import Asked

#: SageMaker's limits (its API, TrainingEnvironmentMap, TrainingContainerEntrypoint and TrainingContainerArguments).
MOST_VARIABLES = 100
LONGEST_VALUE = 512
_MOST_WORDS = 100
_LONGEST_WORD = 256
_LONGEST_NAME = 63

RUN_TAG = "WandbRunId"
JOB_TAG = "launchd:job"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


def job_name(asked_name: str | None, workload: str) -> str:
    """Return the name of the training job: the workload's, behind as much as fits of the one that was asked for."""
    room = _LONGEST_NAME - len(workload) - 1
    prefix = _NOT_IN_NAMES.sub("-", asked_name or "").strip("-")[:room].strip("-")
    return f"{prefix}-{workload}" if prefix else workload


def role_arn(role: str, caller: Caller) -> str:
    """Return a role by its ARN: a bare name is one of the caller's own account."""
    prefix = f"arn:{caller.partition}:iam::"
    return role if role.startswith(prefix) else f"{prefix}{caller.account}:role/{role}"


def image_of(asked: Asked, image: str | None) -> str | None:
    """Return the image that the job would run: its own, or the one that its arguments name instead."""
    return asked.typed.algorithm_specification.training_image or image


def training_job(asked: Asked, launch: LaunchRequest, spec: RunSpec, caller: Caller, name: str) -> dict[str, Any]:
    """Return the parameters of CreateTrainingJob for the training job ``name``.

    Raises:
        InvalidSpec: the job's command or variables are more than SageMaker takes.
    """
    environment = {**launch.environment, **asked.typed.environment}
    # By this one it is found again, so a job cannot have another value for it.
    environment[JOB_NAME_VARIABLE] = launch.name
    _check_variables(environment)
    return {
        **asked.fields,
        "TrainingJobName": name,
        "RoleArn": role_arn(asked.typed.role_arn, caller),
        "AlgorithmSpecification": _algorithm(asked, launch, spec),
        "Environment": environment,
        "Tags": [*asked.fields.get("Tags", []), *_own_tags(launch, spec)],
    }


def _own_tags(launch: LaunchRequest, spec: RunSpec) -> list[dict[str, str]]:
    return [{"Key": RUN_TAG, "Value": spec.run_id}, {"Key": JOB_TAG, "Value": launch.name}]


def _algorithm(asked: Asked, launch: LaunchRequest, spec: RunSpec) -> dict[str, Any]:
    """Return the image and its command. An image of the job's arguments keeps its own entry point (W&B's rule)."""
    given = dict(asked.fields.get("AlgorithmSpecification") or {})
    entry_point = launch.entry_point
    if asked.typed.algorithm_specification.training_image not in (None, launch.build.image):
        entry_point = spec.overrides.entry_point
    _check_words("entry point", entry_point)
    _check_words("arguments", launch.args)
    command: dict[str, Any] = {}
    if entry_point:
        command["ContainerEntrypoint"] = list(entry_point)
    if launch.args:
        command["ContainerArguments"] = list(launch.args)
    return {"TrainingImage": launch.build.image, "TrainingInputMode": "File", **given, **command}


def _check_words(what: str, words: tuple[str, ...]) -> None:
    if len(words) > _MOST_WORDS or any(len(word) > _LONGEST_WORD for word in words):
        raise InvalidSpec(
            f"The {what} of the job cannot be given to SageMaker, which takes {_MOST_WORDS} words of"
            f" {_LONGEST_WORD} characters at most.",
            hint="Put what is longer into a script, or into the run's config.",
        )


def _check_variables(environment: dict[str, str]) -> None:
    too_long = [name for name, value in environment.items() if len(value) > LONGEST_VALUE]
    if len(environment) > MOST_VARIABLES or too_long:
        said = f"{', '.join(too_long)} too long" if too_long else f"{len(environment)} of them"
        raise InvalidSpec(
            f"The job's variables cannot be given to SageMaker, which takes {MOST_VARIABLES} of {LONGEST_VALUE}"
            f" characters at most: there are {said}.",
            hint="Make the run's config or file overrides shorter, or bring them in a file of the job.",
        )
