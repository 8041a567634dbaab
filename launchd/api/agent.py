"""`launchd.LaunchAgent`: W&B's agent as an object, a face of the supervisor. Owns no job: it asks and orders.

The supervisor runs in a process of its own and stands by; it claims once :meth:`LaunchAgent.loop` is called, and runs
what :meth:`LaunchAgent.run_job` hands over. Journal, adoption, leases, stops and reports are the supervisor's, as under
`launchd agent`.
"""

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from launchd.agent.failure_log import error_text
from launchd.api.access import Access, WandbApi, as_access
from launchd.api.coerce import as_mapping
from launchd.api.embedded.agent_handle import AgentHandle
from launchd.api.errors import LaunchError, suggestion, translate_errors
from launchd.api.item_status import OVER
from launchd.api.sources import DEFAULT_QUEUE
from launchd.api.unknown_kwargs import refuse_unknown_kwargs
from launchd.config import from_values

#: W&B's words for how an agent does.
STATUSES = ("KILLED", "POLLING", "RUNNING")

SWEEP_ALIVE = frozenset({"RUNNING", "PAUSED"})

#: Between two looks at a job.
POLL_SECONDS = 0.05


class JobSpecAndQueue(NamedTuple):
    """An item that was popped: `job` has `runQueueItemId` and `runSpec`; and the queue it came from."""

    job: dict[str, Any]
    queue: str


class FileSaver(Protocol):
    """As `wandb.sdk.launch.agent.run_queue_item_file_saver.RunQueueItemFileSaver`."""

    def save_contents(self, contents: str, fname: str, file_sub_type: Any) -> Any:
        """Keep a text as a file of the item; `file_sub_type` is `error` or `warning`."""


class LaunchAgent:
    """An agent for queues of a server (W&B: `wandb.sdk.launch.agent.LaunchAgent`).

    Args:
        api: the server: `launchd.Api()`, one of W&B's two, or `None` for the defaults.
        config: keys of W&B's `launch-config.yaml` (`entity`, `queues`, `max_jobs`, ...), and `launchd` with ours.

    Registers with the server at once, and claims nothing before :meth:`loop`.

    Raises:
        LaunchError: the configuration is wrong, a queue does not exist, the server refuses the agent or does not
            answer for 60 s, or another agent uses the same state directory.
    """

    _current: ClassVar["LaunchAgent | None"] = None

    @refuse_unknown_kwargs
    @translate_errors()
    def __init__(self, api: WandbApi | None, config: Mapping[str, Any]) -> None:
        self._access = as_access(api)
        self._document = _document(config, self._access)
        loaded = from_values(self._document, os.environ).config
        self._max_jobs = loaded.max_jobs
        self.entity = loaded.entity or self._access.default_entity
        self.queues = list(loaded.queues)
        self._rotation = deque(self.queues)
        self._supervisor = AgentHandle(self._document, loaded.launchd, self._access)
        self._about = self._supervisor.wait_registered()
        type(self)._current = self

    # -- who it is

    @classmethod
    def name(cls) -> str:
        """Return the name that the server gave the agent made last; raises :class:`LaunchError` if there is none."""
        if cls._current is None:
            raise LaunchError("There is no agent yet: LaunchAgent(api, config) makes one.")
        return str(cls._current._about["name"])

    @classmethod
    def initialized(cls) -> bool:
        """Return whether an agent was made."""
        return cls._current is not None

    @property
    def id(self) -> str:
        """The id that the server gave the agent."""
        return str(self._about["id"])

    # -- what it does

    @property
    def thread_ids(self) -> list[str]:
        """The item ids of the jobs in its care; W&B's word is from when each had a thread."""
        return [str(job["item_id"]) for job in self._jobs()]

    @property
    def num_running_jobs(self) -> int:
        """How many jobs are in its care, sweep schedulers left out."""
        return sum(not job["scheduler"] for job in self._jobs())

    @property
    def num_running_schedulers(self) -> int:
        """How many sweep schedulers are in its care."""
        return sum(bool(job["scheduler"]) for job in self._jobs())

    def status(self) -> dict[str, Any]:
        """Return all that `launchd status` shows; raises :class:`LaunchError` where the agent has left."""
        found: dict[str, Any] = self._supervisor.ask(command="status")["status"]
        return found

    def _jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.status()["jobs"]
        return jobs

    def print_status(self) -> None:
        """Print in one line what it does."""
        running, most = self.num_running_jobs, self._max_jobs
        free = most < 0 or running < most
        polling = f" polling on queues {','.join(self.queues)}," if free else ""
        maximum = "inf" if most < 0 else most
        sys.stdout.write(f"launch: agent {self._about['name']}{polling} running {running} of at most {maximum} jobs\n")

    @translate_errors()
    def update_status(self, status: str) -> None:
        """Tell the server how the agent does: `POLLING`, `RUNNING` or `KILLED`; its next sign of life tells the truth.

        Raises:
            LaunchError: there is no such word, or the server refuses it.
        """
        if status not in STATUSES:
            raise LaunchError(f"There is no status {status!r}. {suggestion(status, STATUSES)}")
        self._access.queue_server.update_agent(self.id, status)

    # -- taking jobs

    def loop(self) -> None:
        """Take jobs off the queues and run them, until told to leave.

        Returns when the server or `launchd drain` asked the agent to leave, and its jobs are over, or `launchd detach`
        did. An agent's process that dies is started again and takes its jobs back.

        Raises:
            KeyboardInterrupt: Ctrl-C. Its jobs run on; the next agent over the same state directory takes them back.
            LaunchError: the agent cannot go on; the message says why.
        """
        try:
            self._supervisor.serve()
        except KeyboardInterrupt:
            self.close()
            raise

    @translate_errors()
    def pop_from_queue(self, queue: str) -> dict[str, Any] | None:
        """Take one item off a queue, `None` where it is empty; it has `runQueueItemId` and `runSpec`.

        It is this agent's for a minute; :meth:`run_job` runs it.

        Raises:
            LaunchError: there is no such queue, or the server refuses or does not answer.
        """
        item = self._access.queue_server.pop(self.entity, queue, self.id)
        return None if item is None else {"runQueueItemId": item.item_id, "runSpec": item.run_spec}

    def get_job_and_queue(self) -> JobSpecAndQueue | None:
        """Take one item off the first of the queues that has one; that queue is the last to be asked the next time."""
        for queue in list(self._rotation):
            job = self.pop_from_queue(queue)
            if job is not None:
                self._rotation.remove(queue)
                self._rotation.append(queue)
                return JobSpecAndQueue(job, queue)
        return None

    def run_job(self, job: Mapping[str, Any], queue: str, file_saver: FileSaver | None = None) -> None:
        """Run an item that was popped; returns once it is in the agent's care.

        Args:
            job: what :meth:`pop_from_queue` returned.
            queue: the queue it came from.
            file_saver: gets what a failure leaves, as `save_contents(text, "error.log", "error")`. The supervisor keeps
                it in any case.

        Raises:
            LaunchError: the agent did not take it within 30 s.
        """
        item_id = str(job["runQueueItemId"])
        self._supervisor.take(item_id, queue, job["runSpec"])
        if file_saver is not None:
            threading.Thread(
                target=self._save_failure, args=(item_id, file_saver), name=f"saves-{item_id}", daemon=True
            ).start()

    def task_run_job(
        self,
        launch_spec: Mapping[str, Any],
        job: Mapping[str, Any],
        default_config: Mapping[str, Any] | None = None,
        api: WandbApi | None = None,
        job_tracker: Any = None,
    ) -> str:
        """Run an item that was popped and wait until it is over; returns how it ended.

        Args:
            launch_spec: the run spec to run, in place of that of `job`.
            job: what :meth:`pop_from_queue` returned.
            default_config: the agent's configuration; another than its own is refused.
            api: where the sweep is looked up that `launch_spec` belongs to; by default this agent's.
            job_tracker: gets the attributes `run_queue_item_id` and `completed_status`; its `queue` is the item's.

        Raises:
            LaunchError: the sweep is over, the configuration another one, or the agent has left.
        """
        if default_config is not None and _document(default_config, self._access) != self._document:
            raise LaunchError("default_config is not this agent's configuration; make another agent for it.")
        self.check_sweep_state(launch_spec, api)
        item_id = str(job["runQueueItemId"])
        self._supervisor.take(item_id, getattr(job_tracker, "queue", None) or self.queues[0], launch_spec)
        phase = str(self._wait_over(item_id)["phase"])
        if job_tracker is not None:
            job_tracker.run_queue_item_id, job_tracker.completed_status = item_id, phase
        return phase

    def _wait_over(self, item_id: str) -> dict[str, Any]:
        """Return a job in this agent's care once it is over."""
        while True:
            job: dict[str, Any] = self._supervisor.ask(command="job", item=item_id)["job"]
            if job["phase"] in OVER:
                return job
            time.sleep(POLL_SECONDS)

    def _save_failure(self, item_id: str, file_saver: FileSaver) -> None:
        """Runs in a thread of its own; where the agent leaves first, the next one has the job."""
        with contextlib.suppress(LaunchError):
            job = self._wait_over(item_id)
            if job["phase"] == "failed":
                output = Path(job["log_path"])
                text = error_text(job["message"], output.parent, output.is_file(), (self._access.api_key,))
                file_saver.save_contents(text.decode(), "error.log", "error")

    @translate_errors()
    def check_sweep_state(self, launch_spec: Mapping[str, Any], api: WandbApi | None = None) -> None:
        """Raise :class:`LaunchError` where the sweep of `launch_spec` is over, unknown, or cannot be looked up."""
        sweep = launch_spec.get("sweep_id")
        if sweep is None:
            return
        server = (self._access if api is None else as_access(api)).queue_server
        state = server.sweep_state(launch_spec["entity"], launch_spec["project"], sweep)
        if state not in SWEEP_ALIVE:
            raise LaunchError(f"The sweep {sweep} is {(state or 'unknown').lower()}, so its run is not to be started.")

    # -- ending jobs, and itself

    @translate_errors()
    def fail_run_queue_item(
        self, run_queue_item_id: str, message: str, phase: str, files: list[str] | None = None
    ) -> None:
        """Fail an item, and stop its job if it is in this agent's care.

        Args:
            run_queue_item_id: the item.
            message: why, for its submitter.
            phase: where it failed: `agent`, `build` or `run`.
            files: paths of its logs, below the files of the agent's run.

        Raises:
            LaunchError: the item is over already, or the server refuses.
        """
        if not self._access.queue_server.fail_item(run_queue_item_id, message, phase, files):
            raise LaunchError(f"The server did not fail item {run_queue_item_id}: it is over, or not this agent's.")
        if run_queue_item_id in self.thread_ids:
            self._supervisor.ask(command="stop", item=run_queue_item_id, reason=message)

    def finish_thread_id(self, thread_id: str, exception: BaseException | str | None = None) -> None:
        """End the care for a job: it is stopped if it runs, and failed if there is an `exception`.

        `thread_id` is the item's id, one of :attr:`thread_ids`. Raises :class:`LaunchError` for any other.
        """
        if thread_id not in self.thread_ids:
            raise LaunchError(f"No job {thread_id} is in this agent's care.")
        if exception is None:
            self._supervisor.ask(command="stop", item=thread_id, reason="its agent was told to finish it")
        else:
            self.fail_run_queue_item(thread_id, str(exception), "agent")

    def close(self) -> None:
        """Have the agent leave now; its jobs run on, and the next agent over the same state takes them back."""
        self._supervisor.leave()


@refuse_unknown_kwargs
def create_and_run_agent(api: WandbApi | None, config: Mapping[str, Any]) -> None:
    """Make a :class:`LaunchAgent` and run it until it is told to leave; Ctrl-C is one way to tell it.

    Args and Raises as for :class:`LaunchAgent`. Source: `wandb.sdk.launch.create_and_run_agent`.
    """
    agent = LaunchAgent(api, config)
    try:
        agent.loop()
    except KeyboardInterrupt:
        return


def _document(config: Mapping[str, Any], access: Access) -> dict[str, Any]:
    document = {key: value for key, value in as_mapping(config, "config").items() if value is not None}
    if "entity" not in document:
        document["entity"] = access.default_entity
    if not document.get("queues") and not document.get("queue"):
        # As W&B's agent, where nobody names a queue.
        document["queues"] = [DEFAULT_QUEUE]
    return document
