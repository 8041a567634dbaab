"""Every fault at every operation that brings a job from W&B's server: the job comes, or it fails and says why."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ipc.errors import SourceError
from launchd.client.queue_server import QueueServer
from tests.support.wandb_faults import KEY_REFUSED, REFUSALS, TRANSIENT, Fault
from tests.support.wandb_server import ENTITY, WandbServer, wandb_server
from workers.context import JobContext
from workers.sources.job import JobSource

#: What is asked, and the storage that has the files.
OPERATIONS = ("Capabilities", "ArtifactMembershipByName", "ArtifactFiles", "GET")

#: What is final where; content that is not the file's is fetched again.
REFUSED = [
    (operation, fault)
    for operation in OPERATIONS[1:]
    for fault in (*REFUSALS, *KEY_REFUSED)
    if (operation, fault) != ("GET", Fault.ERRORS_200)
]

#: How long a client waits for a server that hangs.
PATIENCE_SECONDS = 0.5


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    monkeypatch.setattr("workers.sources.downloads.RETRY_SECONDS", (0.01,))
    patient = partial(QueueServer, timeout=PATIENCE_SECONDS)
    monkeypatch.setattr("workers.sources.downloads.QueueServer", patient)
    with wandb_server("a") as server:
        server.retry_after = 0
        code = server.keep("code", "demo", {"main.py": b"print('hi')\n", "deep/data": bytes(range(256))})
        server.make_job("made", {"artifact": f"wandb-artifact://_id/{code}", "entrypoint": ["python", "main.py"]})
        yield server
        assert server.foreign == []


@pytest.fixture
def job(wandb: WandbServer, make_context: Callable[..., JobContext]) -> JobContext:
    context = make_context(spec={"job": f"{ENTITY}/tests/made:latest"}, base_url=wandb.url)
    context.api_key = wandb.key
    return context


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_job_comes_in_spite_of_what_passes(wandb: WandbServer, job: JobContext, fault: Fault) -> None:
    # A file that comes slowly is waited for, as long as the whole fetch may take.
    met = OPERATIONS if fault is not Fault.DRIP else OPERATIONS[:-1]
    wandb.break_operations(fault, *met)

    project = JobSource().fetch(job)

    assert project.entry_point == ("python", "main.py")
    assert (job.work / "deep" / "data").read_bytes() == bytes(range(256))
    assert set(wandb.met) == set(met)


@pytest.mark.parametrize(("operation", "fault"), REFUSED)
def test_a_job_that_is_refused_fails_and_says_why(
    wandb: WandbServer, job: JobContext, operation: str, fault: Fault
) -> None:
    wandb.break_operations(fault, operation)

    with pytest.raises(SourceError, match=r"job me/tests/made:latest could not be downloaded: .+") as failure:
        JobSource().fetch(job)

    assert failure.value.hint
    assert wandb.met[operation] == 1
