"""What only a job on Vertex AI can be asked: lost answers, refusals, tokens, and its output in Cloud Logging.

Google Cloud is a fake on a socket (:mod:`tests.support.google_cloud`).
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.boot_clock import BootClock
from ipc.errors import InvalidSpec, JobCancelled, PolicyRefused, RunnerUnavailable, SubmitError
from ipc.handles import Handle
from ipc.run_spec import RunSpec
from ipc.settings import EnvironmentConfig, VertexConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.google_cloud import DONE_UNANSWERED, UNANSWERED, GoogleCloud, entry, google_cloud, job_args
from tests.support.waiting import wait_until
from workers import request_service
from workers.builders import Build
from workers.context import JobContext, StopSignal
from workers.environments import CloudRefused
from workers.gcp.requests import AskedGcp, Login
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import Runner
from workers.runners.vertex import VertexRunner
from workers.vertex import records

IMAGE = "us-docker.pkg.dev/p/r/image:1"

pytestmark = pytest.mark.usefixtures("way_to_the_cloud")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    with google_cloud() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path)))
        yield server


def job_of(cloud: GoogleCloud, directory: Path, timeout: float = 5.0, **knobs: Any) -> Job:
    settings = msgspec.structs.replace(cloud.settings, timeout_seconds=timeout)
    return Job(
        directory / "state" / "jobs" / NAME,
        resource="vertex",
        command=("python", "train.py"),
        image=IMAGE,
        knobs=job_args(**knobs),
        vertex=settings,
        environment=cloud.environment,
    )


def follow(runner: Runner, handle: Handle, job: Job) -> None:
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    assert follower.finish(20)


def test_a_job_waits_for_its_machines_before_it_runs(cloud: GoogleCloud, tmp_path: Path) -> None:
    runner, handle = job_of(cloud, tmp_path, pending=60, seconds=60).submit()

    starting = runner.inspect(handle)
    cloud.jobs[0].created -= 60

    assert (starting.state, starting.message) == (
        JobState.STARTING,
        "Vertex AI prepares the job: machines, and its image",
    )
    assert runner.inspect(handle).state is JobState.RUNNING


def test_a_creation_whose_answer_is_lost_is_found(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["create"] = [DONE_UNANSWERED]
    job = job_of(cloud, tmp_path)

    with pytest.raises(RunnerUnavailable):
        job.submit()

    found = job.runner().find(NAME)
    assert found is not None
    assert len(cloud.jobs) == 1


def test_a_creation_that_may_yet_take_effect_is_not_repeated(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["create"] = [UNANSWERED]
    job = job_of(cloud, tmp_path, timeout=1.0)

    with pytest.raises(RunnerUnavailable):
        job.submit()
    with pytest.raises(RunnerUnavailable, match="may yet create it"):
        job.runner().find(NAME)

    def is_settled() -> bool:
        try:
            return job.runner().find(NAME) is None
        except RunnerUnavailable:
            return False

    wait_until(is_settled, what="nothing came of it")
    job.submit()
    assert len(cloud.jobs) == 1


def test_a_job_that_was_created_twice_all_the_same_runs_once(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path, seconds=60)
    cloud.faults["create"] = [DONE_UNANSWERED]
    with pytest.raises(RunnerUnavailable):
        job.submit()
    cloud.create(cloud.jobs[0].request)

    found = job.runner().find(NAME)

    assert found is not None
    assert found.data["job"] == "projects/team-project/locations/us-central1/customJobs/1000"
    assert [one.state for one in cloud.jobs] == ["JOB_STATE_RUNNING", "JOB_STATE_CANCELLED"]


def test_a_job_of_another_region_than_the_configurations_is_found_where_it_was_created(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    job = job_of(cloud, tmp_path, seconds=60)
    _, handle = job.submit()

    job.environment = msgspec.structs.replace(cloud.environment, region="europe-west4")

    assert job.runner().find(NAME) == handle
    assert job.runner().inspect(handle).state is JobState.RUNNING


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_a_job_that_is_refused_does_not_exist(cloud: GoogleCloud, tmp_path: Path, status: int) -> None:
    cloud.faults["create"] = [status]
    job = job_of(cloud, tmp_path)

    with pytest.raises(SubmitError, match=rf"refused the job \({status}\).*told to fail"):
        job.submit()

    assert job.runner().find(NAME) is None


def test_an_api_that_is_not_enabled_fails_the_job_with_what_to_do(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["list"] = [403] * 9

    with pytest.raises(SubmitError, match=r"refused to answer \(403\)") as error:
        job_of(cloud, tmp_path).submit()

    assert "enables the API aiplatform.googleapis.com" in (error.value.hint or "")
    assert cloud.jobs == []


def test_a_job_that_may_be_there_waits_for_a_right_that_was_taken_away(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["create"] = [DONE_UNANSWERED]
    job = job_of(cloud, tmp_path, seconds=60)
    with pytest.raises(RunnerUnavailable):
        job.submit()
    cloud.faults["list"] = [403]

    with pytest.raises(RunnerUnavailable, match=r"\(403\)"):
        job.submit()
    job.submit()

    assert len(cloud.jobs) == 1


def test_a_full_project_is_asked_again(cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.runners.vertex.CREATE_PAUSES", (0.0, 0.0))
    cloud.faults["create"] = [429, 429]

    runner, handle = job_of(cloud, tmp_path).submit()

    assert wait_for_end(runner, handle).state is JobState.FINISHED
    assert cloud.asked.count("create") == 3


def test_a_cloud_that_cannot_be_asked_yet_fails_no_job(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.request_service.START_SECONDS", 0.1)
    monkeypatch.setattr("workers.gcp.requests.find_service", lambda _: str(tmp_path / "none"))

    job_of(cloud, tmp_path).runner().validate()

    with pytest.raises(RunnerUnavailable, match="could not be reached"):
        job_of(cloud, tmp_path).submit()


def test_each_request_to_create_is_noted_with_its_own_moment(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that comes after this one may take none of them for over while it can still take effect."""
    monkeypatch.setattr("workers.runners.vertex.CREATE_PAUSES", (0.3, 0.3))
    cloud.faults["create"] = [429, 429, UNANSWERED]
    job = job_of(cloud, tmp_path, timeout=1.0)
    asked = BootClock().now()

    with pytest.raises(RunnerUnavailable):
        job.submit()

    record = records.read_create(job.directory)
    assert record is not None
    assert record.asked.seconds - asked.seconds >= 0.6


def test_a_project_that_stays_full_is_said(cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.runners.vertex.CREATE_PAUSES", (0.0,))
    cloud.faults["create"] = [429, 429]

    with pytest.raises(SubmitError, match="takes no more jobs for now"):
        job_of(cloud, tmp_path).submit()


@pytest.mark.parametrize("status", [500, 503, 429, 403])
def test_a_question_that_is_not_answered_says_nothing_of_the_job(
    cloud: GoogleCloud, tmp_path: Path, status: int
) -> None:
    runner, handle = job_of(cloud, tmp_path, seconds=60).submit()
    cloud.faults["get"] = [status]

    with pytest.raises(RunnerUnavailable, match=str(status)):
        runner.inspect(handle)
    assert runner.inspect(handle).state is JobState.RUNNING


def test_a_connection_that_breaks_says_nothing_of_the_job(cloud: GoogleCloud, tmp_path: Path) -> None:
    runner, handle = job_of(cloud, tmp_path, seconds=60).submit()
    cloud.faults["get"] = [UNANSWERED, UNANSWERED]

    with pytest.raises(RunnerUnavailable, match="cannot be reached"):
        runner.inspect(handle)


def test_an_expired_token_is_renewed(cloud: GoogleCloud, tmp_path: Path) -> None:
    runner, handle = job_of(cloud, tmp_path, seconds=60).submit()
    cloud.expire_token()

    assert runner.inspect(handle).state is JobState.RUNNING
    assert cloud.tokens == 2


def test_credentials_that_are_refused_say_nothing_of_a_job_that_runs(cloud: GoogleCloud, tmp_path: Path) -> None:
    runner, handle = job_of(cloud, tmp_path, seconds=60).submit()
    cloud.expire_token()
    cloud.faults["token"] = [400]

    with pytest.raises(RunnerUnavailable, match="refuses the credentials of this host"):
        runner.inspect(handle)


def test_a_job_that_could_not_be_asked_for_is_not_taken_for_one_that_may_exist(
    cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request may not be dated before the process was there which made it."""
    job = job_of(cloud, tmp_path)
    runner = job.runner()
    assert isinstance(runner, VertexRunner)
    monkeypatch.setattr(request_service, "START_SECONDS", 0.2)
    nowhere = AskedGcp(str(tmp_path / "none.sock"), Login(EnvironmentConfig("gcp"), VertexConfig()))
    monkeypatch.setattr(runner._gcp, "create_job", nowhere.create_job)

    with pytest.raises(RunnerUnavailable, match="could not be reached"):
        runner.submit(job.launch)

    assert records.read_create(job.directory) is None


def test_a_job_that_was_stopped_before_it_was_asked_for_is_not_created(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path)
    runner = job.runner()
    stopped = JobContext(job.order, "key", lambda _event: None)
    runner.fetch_image(IMAGE, stopped)
    stopped.interrupt(StopSignal("it is late", 0.0))

    with pytest.raises(JobCancelled, match="it is late"):
        runner.submit(job.launch)
    assert cloud.jobs == []
    assert records.read_create(job.directory) is None


# Where each worker has the SDK, the next one reads them.
@pytest.mark.usefixtures("way_to_the_cloud")
@pytest.mark.parametrize("way_to_the_cloud", ["service"], indirect=True)
def test_credentials_that_were_replaced_are_read_anew_though_jobs_run_alone(cloud: GoogleCloud, tmp_path: Path) -> None:
    runner, handle = job_of(cloud, tmp_path, seconds=60).submit()
    cloud.expire_token()
    (tmp_path / "subject-token").unlink()
    with pytest.raises(RunnerUnavailable):
        runner.inspect(handle)

    cloud.write_credentials(tmp_path)
    file = tmp_path / "credentials.json"
    file.write_text(file.read_text().replace('subject-token"', 'other-token"'))
    (tmp_path / "subject-token").rename(tmp_path / "other-token")

    assert runner.inspect(handle).state is JobState.RUNNING


def test_credentials_that_are_refused_create_no_job(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["token"] = [400]

    with pytest.raises(CloudRefused, match="refuses the credentials of this host"):
        job_of(cloud, tmp_path).runner().validate()
    assert cloud.jobs == []


def test_a_token_server_that_fails_for_a_time_fails_no_job(cloud: GoogleCloud, tmp_path: Path) -> None:
    cloud.faults["token"] = [UNANSWERED] * 20
    job = job_of(cloud, tmp_path)

    job.runner().validate()

    cloud.faults.clear()
    assert job.run().state is JobState.FINISHED


def test_a_job_that_was_removed_by_hand_has_failed(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path, seconds=60)
    runner, handle = job.submit()
    cloud.jobs.clear()

    assert runner.inspect(handle).state is JobState.FAILED
    assert "removed from Vertex AI" in str(runner.inspect(handle).message)
    # Nothing starts it again.
    assert job.runner().find(NAME) == handle
    runner.cancel(handle, 1.0)


def test_output_is_copied_while_the_job_runs(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path, seconds=60, output="one\ntwo")
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()

    wait_until(lambda: job.text() == "one\ntwo\n", what="the output so far")

    runner.cancel(handle, 1.0)
    wait_for_end(runner, handle)
    assert follower.finish(20)


def test_each_line_of_a_long_output_is_there_once_whoever_copies_it(cloud: GoogleCloud, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(450)]
    job = job_of(cloud, tmp_path, output="\n".join(lines))
    runner, handle = job.submit()
    wait_for_end(runner, handle)
    cloud.faults["logs"] = [500, UNANSWERED]

    follow(runner, handle, job)
    again = job.runner()
    wait_for_end(again, handle)
    follow(again, handle, job)

    assert job.text().splitlines() == lines


def test_a_line_that_comes_late_and_one_of_another_process_are_there(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path, seconds=60, output="one")
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    wait_until(lambda: job.text() == "one\n", what="the first line")

    cloud.more_entries.append(entry(1000, 7, time.time() - 30, "late", task="workerpool1-0"))

    wait_until(lambda: job.text() == "one\n[workerpool1-0] late\n", what="the late line")
    runner.cancel(handle, 1.0)
    wait_for_end(runner, handle)
    assert follower.finish(20)


def test_output_that_may_not_be_read_is_said_while_the_job_runs(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path, seconds=60)
    runner, handle = job.submit()
    cloud.faults["logs"] = [403]

    follow(runner, handle, job)

    status = runner.inspect(handle)
    assert status.state is JobState.RUNNING
    assert "roles/logging.viewer" in str(status.message)


def test_what_the_policy_does_not_grant_is_refused_before_anything_is_fetched(
    cloud: GoogleCloud, tmp_path: Path
) -> None:
    job = job_of(cloud, tmp_path, service_account="admin@p.iam.gserviceaccount.com")

    with pytest.raises(PolicyRefused, match="service_account admin@p"):
        job.runner().validate()
    assert cloud.asked == []


def test_an_image_on_the_agents_host_alone_cannot_run_there(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path)
    context = JobContext(job.order, "", lambda _: None)

    with pytest.raises(InvalidSpec, match="on the agent's host alone"):
        job.runner().fetch_built(Build(image="localhost/launchd/ada/engine:1"), context)


def test_no_thread_is_left_by_questions(cloud: GoogleCloud, tmp_path: Path) -> None:
    before = threading.active_count()
    runner, handle = job_of(cloud, tmp_path).submit()
    runner.inspect(handle)

    wait_until(lambda: threading.active_count() <= before, what="the fake's threads are over")


def test_the_key_is_in_no_argument_and_no_file(cloud: GoogleCloud, tmp_path: Path) -> None:
    job = job_of(cloud, tmp_path)
    job.submit()

    spec = RunSpec("entity", "project", "run", "vertex", resource_args={"vertex": job.knobs})
    assert job.order.spec == spec
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or cloud.last_token.encode() not in path.read_bytes()
