"""What a job asks of SageMaker: ``resource_args.sagemaker`` read, typed as far as this host looks at it. Pure.

The keys are those of CreateTrainingJob, at the first level in snake case as well, as with W&B's agent (0.20.1,
``runner/sagemaker_runner.py``).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.own_args import SECTION
from workers.macros import filled
from workers.wrong_arguments import wrong_arguments

#: Keys that W&B's agent takes away, and those that are for this one; ``builder`` says how images are made.
_NOT_SENT = ("EcrRepoName", "region", "profile", "builder", SECTION)

#: Without these SageMaker, or W&B's agent, refuses a job.
REQUIRED = ("RoleArn", "OutputDataConfig", "ResourceConfig", "StoppingCondition")


class InstanceGroup(msgspec.Struct, frozen=True, rename="pascal"):
    """Instances of one type, in a job that has several."""

    instance_type: str
    instance_count: int


class Resources(msgspec.Struct, frozen=True, rename="pascal"):
    """``ResourceConfig``, as far as the policy looks at it."""

    instance_type: str | None = None
    instance_count: int = 1
    volume_size: int = msgspec.field(default=0, name="VolumeSizeInGB")
    instance_groups: list[InstanceGroup] = []

    @property
    def types(self) -> list[str]:
        """The types of all instances."""
        return [*filter(None, [self.instance_type]), *(one.instance_type for one in self.instance_groups)]

    @property
    def count(self) -> int:
        """The number of all instances."""
        return sum(one.instance_count for one in self.instance_groups) or self.instance_count


class _Output(msgspec.Struct, frozen=True, rename="pascal"):
    s3_output_path: str = msgspec.field(name="S3OutputPath")


class _Written(msgspec.Struct, frozen=True):
    s3_uri: str | None = msgspec.field(default=None, name="S3Uri")
    s3_output_path: str | None = msgspec.field(default=None, name="S3OutputPath")


class _Stopping(msgspec.Struct, frozen=True, rename="pascal"):
    max_runtime_in_seconds: int | None = None
    max_wait_time_in_seconds: int | None = None


class _Network(msgspec.Struct, frozen=True, rename="pascal"):
    security_group_ids: list[str] = []
    subnets: list[str] = []


class _Algorithm(msgspec.Struct, frozen=True, rename="pascal"):
    training_image: str | None = None


class _Tag(msgspec.Struct, frozen=True, rename="pascal"):
    key: str
    value: str


class Typed(msgspec.Struct, frozen=True, rename="pascal"):
    """The fields of a training job that this host looks at."""

    role_arn: str
    output_data_config: _Output
    resource_config: Resources
    stopping_condition: _Stopping
    training_job_name: str | None = None
    algorithm_specification: _Algorithm = _Algorithm()
    environment: dict[str, str] = {}
    tags: list[_Tag] = []
    vpc_config: _Network = _Network()
    checkpoint_config: _Written = _Written()
    tensor_board_output_config: _Written = _Written()
    hyper_parameters: dict[str, str] = {}


class Asked(msgspec.Struct, frozen=True):
    """A job's arguments: ``fields`` as they are sent, ``typed`` as they are judged."""

    fields: dict[str, Any]
    typed: Typed
    region: str | None
    profile: str | None

    @property
    def writes_to(self) -> tuple[str, ...]:
        """The addresses in S3 that the job writes to."""
        config = self.typed
        written = (config.checkpoint_config, config.tensor_board_output_config)
        found = [config.output_data_config.s3_output_path]
        found += [address for one in written for address in (one.s3_uri, one.s3_output_path) if address]
        return tuple(found)


def read(given: Any, macros: Mapping[str, str]) -> Asked:
    """Return what ``resource_args.sagemaker`` asks for, with its macros filled.

    Raises:
        InvalidSpec: something that every job needs is missing, or of another type.
    """
    if not isinstance(given, dict) or not given:
        raise InvalidSpec(
            "A job on SageMaker needs resource_args.sagemaker: the arguments of CreateTrainingJob.",
            hint="Add them to the queue's configuration, or to the job's resource args.",
        )
    values = filled(given, macros)
    fields = {_camel(key): value for key, value in values.items() if key not in _NOT_SENT and value is not None}
    missing = [name for name in REQUIRED if not fields.get(name)]
    if missing:
        raise InvalidSpec(
            f"resource_args.sagemaker lacks {', '.join(missing)}.",
            hint="Add it to the queue's configuration, or to the job's resource args.",
        )
    try:
        return Asked(fields, msgspec.convert(fields, Typed), _text(values, "region"), _text(values, "profile"))
    except msgspec.ValidationError as error:
        raise wrong_arguments("resource_args.sagemaker", error) from error


def read_name(given: Any, macros: Mapping[str, str]) -> str | None:
    """Return the name that ``resource_args.sagemaker`` asks for, with the macros that any worker fills alike."""
    fields = given if isinstance(given, dict) else {}
    name = fields.get("TrainingJobName") or fields.get("training_job_name")
    return None if name is None else str(filled(name, macros))


def _camel(key: str) -> str:
    """Return W&B's form of a key: snake case becomes camel case, anything else stays."""
    if key == "environment":
        return "Environment"
    return "".join(word.title() for word in key.split("_")) if "_" in key else key


def _text(values: Mapping[str, Any], key: str) -> str | None:
    return msgspec.convert(values.get(key), str | None)
