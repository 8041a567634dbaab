"""Training jobs at AWS on loopback: what goes wrong there is recovered, or told clearly; no key is shown."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import HostError, InvalidSpec, JobCancelled, PolicyRefused, RunnerUnavailable, SubmitError
from ipc.handles import Handle
from ipc.policy_rules import SagemakerRules
from ipc.run_spec import Overrides
from ipc.settings import RegistryConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.aws import ROLE, FakeAws, arguments
from tests.support.waiting import wait_until
from workers.builders import Build
from workers.context import JobContext, StopSignal
from workers.job_environment import job_environment
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import Runner, create_runner
from workers.runners import sagemaker as runner_module
from workers.sagemaker import logs

IMAGE = "registry.example/train:1"
CREATE, DESCRIBE, STOP = "SageMaker.CreateTrainingJob", "SageMaker.DescribeTrainingJob", "SageMaker.StopTrainingJob"

JobMaker = Callable[..., Job]

pytestmark = pytest.mark.usefixtures("way_to_the_cloud")


@pytest.fixture
def make_job(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobMaker:
    """Jobs of a shell script, or of one that a test lives through for SageMaker."""
    monkeypatch.setattr(logs, "PAUSE_SECONDS", 0.1)

    def make(script: str | None = None, **more: Any) -> Job:
        aws.runs_commands = script is not None
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="sagemaker",
            command=("sh", "-c", script or "true"),
            image=IMAGE,
            sagemaker=SagemakerRules(roles=(ROLE, "training"), instances=2),
            knobs=arguments(**more),
        )

    return make


def context(job: Job) -> JobContext:
    return JobContext(job.order, "key", lambda _event: None)


def follow(runner: Runner, handle: Handle, job: Job) -> OutputFollower:
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    return follower


# -- names


def test_a_name_that_was_asked_for_does_not_make_two_jobs_one(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job(TrainingJobName="train-${run_id}-${image_uri}")
    runner, handle = job.submit()

    assert list(aws.jobs) == [handle.data["job"]] == [f"train-run-image-uri-{NAME}"]
    assert job.runner().find(NAME) == handle
    assert runner.inspect(handle).state is JobState.RUNNING


def test_a_name_of_another_is_not_taken_for_the_own(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    aws.create({"TrainingJobName": NAME, "Environment": {}})

    with pytest.raises(SubmitError, match=r"There is a training job launchd-.* already, and it is another's"):
        job.submit()


def test_a_request_whose_answer_was_lost_makes_one_job(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    job.submit()
    aws.fail(CREATE, 500, "InternalFailure", times=2)

    _, handle = job.submit()

    assert handle.name == NAME
    assert len(aws.jobs) == 1


# -- what goes wrong


def test_half_a_character_in_an_error_or_in_the_output_costs_nothing_else(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    runner, handle = job.submit()
    aws.fail(DESCRIBE, 400, "AccessDeniedException", "half \ud800 a character")
    with pytest.raises(RunnerUnavailable, match=r"half . a character"):
        runner.inspect(handle)

    aws.write_log(handle.data["job"], ["half \ud800 a line", "the next"])
    follower = follow(runner, handle, job)
    wait_until(lambda: b"the next" in job.output(), 20, "the output is copied")
    aws.stop(handle.data["job"])
    wait_for_end(runner, handle)
    assert follower.finish(30)
    assert job.output().decode() == "half \ufffd a line\nthe next\n"


def test_a_refused_job_says_why_and_shows_no_variable(
    make_job: JobMaker, aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "local-0123456789012345678901234567890123456789"
    job = make_job(Environment={"WANDB_API_KEY": secret})
    said = f"1 validation error detected: Value '{{WANDB_API_KEY={secret}}}' at 'environment' failed"
    aws.fail(CREATE, 400, "ValidationException", said)

    with pytest.raises(SubmitError, match="1 validation error detected") as caught:
        job.submit()

    assert "WANDB_API_KEY=***" in caught.value.message
    assert secret not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


def test_a_field_that_there_is_not_is_named(make_job: JobMaker) -> None:
    job = make_job(RetryStrategy={"Attempts": 1})

    with pytest.raises(SubmitError, match=r"Unknown parameter in RetryStrategy: \"?.?Attempts"):
        job.submit()


def test_a_right_that_lacks_is_said_with_what_to_do(make_job: JobMaker, aws: FakeAws) -> None:
    aws.fail(CREATE, 400, "AccessDeniedException", "User is not authorized to perform: iam:PassRole")

    with pytest.raises(SubmitError, match="iam:PassRole") as caught:
        make_job().submit()

    assert "in IAM" in (caught.value.hint or "")


def test_a_creation_that_is_throttled_is_asked_for_again(
    make_job: JobMaker, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "CREATE_PAUSES", (0.0,))
    aws.fail(CREATE, 400, "ThrottlingException", "Rate exceeded", times=4)

    runner, handle = make_job().submit()

    assert runner.inspect(handle).state is JobState.RUNNING
    assert len(aws.jobs) == 1


def test_a_throttled_creation_heeds_a_stop(make_job: JobMaker, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job()
    runner = job.runner()
    stopped = context(job)
    monkeypatch.setattr(stopped, "wait", _stopped)
    runner.fetch_image(IMAGE, stopped)
    aws.fail(CREATE, 400, "ThrottlingException", "Rate exceeded", times=4)

    with pytest.raises(JobCancelled):
        runner.submit(job.launch)
    assert aws.jobs == {}


def _stopped(seconds: float) -> None:
    if seconds:
        raise JobCancelled("stopped")


def test_a_job_that_was_stopped_before_it_was_asked_for_is_not_created(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    runner = job.runner()
    stopped = context(job)
    runner.fetch_image(IMAGE, stopped)
    stopped.interrupt(StopSignal("it is late", 0.0))

    with pytest.raises(JobCancelled, match="it is late"):
        runner.submit(job.launch)
    assert aws.asked(CREATE) == []


def test_a_quota_that_is_used_up_is_told_with_what_to_do(make_job: JobMaker, aws: FakeAws) -> None:
    said = "The account-level service limit 'ml.p4d.24xlarge for training job usage' is 0 Instances"
    aws.fail(CREATE, 400, "ResourceLimitExceeded", said)

    with pytest.raises(SubmitError, match=r"account-level service limit .* is 0 Instances") as caught:
        make_job().submit()

    assert "Service Quotas" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
        (400, "ExpiredTokenException"),
        (403, "AccessDeniedException"),
        (400, "UnrecognizedClientException"),
    ],
)
def test_a_job_that_cannot_be_asked_about_may_well_run(
    make_job: JobMaker, aws: FakeAws, status: int, code: str
) -> None:
    runner, handle = make_job().submit()
    aws.fail(DESCRIBE, status, code, times=4)

    with pytest.raises(RunnerUnavailable, match=code):
        runner.inspect(handle)
    aws.faults.clear()

    assert runner.inspect(handle).state is JobState.RUNNING


def test_an_adoption_waits_for_credentials_and_forgets_no_job(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    _, handle = job.submit()
    aws.fail(DESCRIBE, 400, "ExpiredTokenException")
    runner = job.runner()

    with pytest.raises(RunnerUnavailable, match="renews the credentials"):
        runner.find(NAME)

    assert runner.find(NAME) == handle


def test_a_stop_that_fails_is_said_and_can_be_repeated(make_job: JobMaker, aws: FakeAws) -> None:
    runner, handle = make_job("sleep 60").submit()
    aws.fail(STOP, 500, "InternalFailure", times=4)

    with pytest.raises(RunnerUnavailable):
        runner.cancel(handle, 5)
    runner.cancel(handle, 5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED


def test_a_stop_that_is_refused_while_the_job_runs_is_not_taken_for_done(make_job: JobMaker, aws: FakeAws) -> None:
    runner, handle = make_job().submit()
    aws.fail(STOP, 400, "ValidationException", "not now")

    with pytest.raises(RunnerUnavailable, match="does not stop"):
        runner.cancel(handle, 5)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", "Stopping"])
def test_a_stop_of_a_job_that_has_ended_changes_nothing(make_job: JobMaker, aws: FakeAws, status: str) -> None:
    runner, handle = make_job().submit()
    aws.jobs[NAME].status = status

    runner.cancel(handle, 5)

    assert aws.jobs[NAME].status == status


def test_a_job_that_is_missing_for_a_time_is_lost(
    make_job: JobMaker, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, handle = make_job().submit()
    aws.jobs.clear()

    with pytest.raises(RunnerUnavailable, match="has no training job"):
        runner.inspect(handle)
    monkeypatch.setattr(runner_module, "_MISSING_SECONDS", 0.0)
    status = runner.inspect(handle)

    assert status.state is JobState.FAILED
    assert "how it ended is lost" in (status.message or "")


def test_a_job_that_waits_for_instances_is_starting(make_job: JobMaker, aws: FakeAws) -> None:
    runner, handle = make_job().submit()
    aws.jobs[NAME].secondary = "LaunchingMLInstances"

    assert runner.inspect(handle).state is JobState.STARTING


# -- what is refused before anything exists


def test_the_policy_is_asked_first(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job(RoleArn="arn:aws:iam::123456789012:role/admin")

    with pytest.raises(PolicyRefused, match=r"role/admin is not granted.*launchd\.policy\.sagemaker\.roles"):
        job.runner().validate()
    with pytest.raises(PolicyRefused):
        job.runner().submit(job.launch)
    assert aws.asked(CREATE) == []


def test_an_image_has_to_be_granted_wherever_it_is_named(make_job: JobMaker) -> None:
    job = make_job(AlgorithmSpecification={"TrainingImage": "evil/image", "TrainingInputMode": "File"})
    job.sagemaker = SagemakerRules(roles=("*",), images=("registry.example/*",))

    with pytest.raises(PolicyRefused, match="The image evil/image"):
        job.runner().validate()
    job.knobs = arguments()
    job.runner().validate()
    with pytest.raises(PolicyRefused, match="The image evil/image"):
        job.runner().fetch_image("evil/image", context(job))


def test_an_image_that_no_registry_has_is_told(make_job: JobMaker) -> None:
    job = make_job()
    runner = job.runner()

    with pytest.raises(HostError, match="built on this host alone"):
        runner.fetch_built(Build(image="localhost/x"), context(job))
    with pytest.raises(InvalidSpec, match="cannot mount"):
        runner.fetch_built(Build(image="python:3.11", mounts_project=True), context(job))


# -- output


def test_output_of_all_pages_and_hosts_is_in_the_jobs_files(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1})
    runner, handle = job.submit()
    lines = [f"line {number} {'x' * 1000}" for number in range(1500)]
    for start in range(0, len(lines), 500):
        aws.write_log(NAME, lines[start : start + 500])
    aws.write_log(NAME, ["of the second"], host="algo-2")

    follower = follow(runner, handle, job)
    aws.jobs[NAME].status = "Completed"
    wait_for_end(runner, handle)

    assert follower.finish(20)
    assert job.text().splitlines() == [f"[algo-1] {line}" for line in lines] + ["[algo-2] of the second"]


def test_ten_thousand_lines_are_in_the_jobs_files_once(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    runner, handle = job.submit()
    lines = [f"line {number} {'x' * 200}" for number in range(10_000)]
    for start in range(0, len(lines), 2500):
        aws.write_log(NAME, lines[start : start + 2500])

    follower = follow(runner, handle, job)
    aws.jobs[NAME].status = "Completed"
    wait_for_end(runner, handle)

    assert follower.finish(20)
    assert job.text().splitlines() == lines


def test_a_stream_that_comes_after_the_end_is_waited_for(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    runner, handle = job.submit()
    aws.jobs[NAME].status = "Failed"
    wait_for_end(runner, handle)
    looks = "Logs_20140328.DescribeLogStreams"

    follower = follow(runner, handle, job)
    wait_until(lambda: len(aws.asked(looks)) > logs.LAST_LOOKS + 2, what="the logs were looked at")
    aws.write_log(NAME, ["late"])

    assert follower.finish(20)
    assert job.text() == "late\n"


def test_output_goes_on_where_a_worker_died(make_job: JobMaker, aws: FakeAws) -> None:
    """Also inside a page: the writer's position says how much of it is in the files."""
    job = make_job()
    runner, handle = job.submit()
    aws.write_log(NAME, ["first", "second"])
    writer = OutputWriter(job.directory, job.jobs)
    position = logs.Position({}, f"{NAME}/algo-1-1700000000", 0)
    (job.directory / logs.POSITION_FILE).write_bytes(json.dumps({"streams": {}, "stream": position.stream}).encode())
    writer.write(b"first\nse")
    writer.close()
    aws.write_log(NAME, ["third"])

    follower = follow(runner, handle, job)
    wait_until(lambda: "third" in job.text(), what="the rest of the output")
    aws.write_log(NAME, ["fourth"])
    aws.jobs[NAME].status = "Completed"
    wait_for_end(runner, handle)

    assert follower.finish(20)
    assert job.text() == "first\nsecond\nthird\nfourth\n"


def test_output_waits_for_credentials_that_are_gone(
    make_job: JobMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    runner, handle = job.submit()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(RunnerUnavailable, match="has no credentials for AWS"):
        runner.follow_output(handle, OutputWriter(job.directory, job.jobs))


def test_output_waits_for_logs_that_cannot_be_had(make_job: JobMaker, aws: FakeAws) -> None:
    job = make_job()
    runner, handle = job.submit()
    aws.fail("Logs_20140328.DescribeLogStreams", 400, "AccessDeniedException")

    with pytest.raises(RunnerUnavailable, match="AccessDenied"):
        runner.follow_output(handle, OutputWriter(job.directory, job.jobs))


# -- variables


def test_a_long_config_comes_in_parts_that_sagemaker_takes(make_job: JobMaker) -> None:
    job = make_job()
    spec = msgspec.structs.replace(job.order.spec, overrides=Overrides(run_config={"text": "x" * 2000}))
    order = msgspec.structs.replace(job.order, spec=spec)

    made = job_environment(order, "key", most=job.runner().capabilities.variable_characters)

    assert max(len(value) for value in made.values()) <= 512
    assert "WANDB_CONFIG_3" in made


def test_an_image_in_a_registry_is_enough(make_job: JobMaker) -> None:
    job = make_job()
    order = msgspec.structs.replace(job.order, registry=RegistryConfig("ecr", "1.dkr.ecr.us-east-1.amazonaws.com/x"))

    create_runner(order, ()).fetch_built(Build(image="x"), context(job))
