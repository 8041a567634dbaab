"""`launchd.LaunchAgent`: W&B's class for an agent, over a supervisor in a process of its own.

The supervisor registers at once, claims items once :meth:`LaunchAgent.loop` is called, and runs the items that
:meth:`LaunchAgent.run_job` passes to it. Journal, adoption, leases, stops and reports are the supervisor's, as under
`launchd agent`; nothing here holds a job.
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

from ipc.visible_text import visible
from launchd.agent.failure_log import error_text
from launchd.api.access import Access, WandbApi, as_access
from launchd.api.coerce import as_mapping
from launchd.api.embedded.agent_handle import AgentHandle
from launchd.api.errors import LaunchError, refuse_unknown_kwargs, suggestion, translate_errors
from launchd.api.item_status import TERMINAL_STATUSES
from launchd.api.sources import DEFAULT_QUEUE
from launchd.client.runs import ACTIVE_SWEEP_STATES
from launchd.config import from_values

#: W&B's statuses of an agent.
STATUSES = ("KILLED", "POLLING", "RUNNING")

#: Between two requests for the state of a job.
POLL_SECONDS = 0.05


class JobSpecAndQueue(NamedTuple):
    """A popped item, with `runQueueItemId` and `runSpec`, and the name of its queue (W&B: `JobSpecAndQueue`)."""

    job: dict[str, Any]
    queue: str


class FileSaver(Protocol):
    """The method of W&B's `wandb.sdk.launch.agent.run_queue_item_file_saver.RunQueueItemFileSaver`."""

    def save_contents(self, contents: str, fname: str, file_sub_type: Any) -> Any:
        """Save a text as a file of the item; `file_sub_type` is `error` or `warning`."""


class LaunchAgent:
    """An agent for queues of a server, in a process of its own (W&B: `wandb.sdk.launch.agent.LaunchAgent`).

    It registers with the server at once, and takes no jobs before :meth:`loop`.

    Args:
        api: the server: `launchd.Api()`, `wandb.Api()`, `wandb.apis.internal.Api()`, or `None` for `launchd.Api()`.
        config: a mapping with the keys of W&B's `launch-config.yaml` (`entity`, `queues`, `max_jobs`, ...), and with
            `launchd`, the agent's further settings. `queues` is `["default"]` by default.

    Raises:
        LaunchError: the configuration is wrong, a queue does not exist, the server refuses the agent or does not
            answer for 60 s, or another agent uses the same state directory.
    """

    _current: ClassVar["LaunchAgent | None"] = None

    @refuse_unknown_kwargs
    @translate_errors()
    def __init__(self, api: WandbApi | None, config: Mapping[str, Any]) -> None:
        self._access = as_access(api)
        self._config = _complete_config(config, self._access)
        loaded = from_values(self._config, os.environ).config
        self._max_jobs = loaded.max_jobs
        self.entity = loaded.entity or self._access.default_entity
        self.queues = list(loaded.queues)
        self._rotation = deque(self.queues)
        self._agent = AgentHandle(self._config, loaded.launchd, self._access)
        self._registration = self._agent.wait_registered()
        type(self)._current = self

    # -- who it is

    @classmethod
    def name(cls) -> str:
        """Return the server's name of the agent that was made last; raises :class:`LaunchError` if there is none."""
        if cls._current is None:
            raise LaunchError("There is no agent yet: LaunchAgent(api, config) makes one.")
        return str(cls._current._registration["name"])

    @classmethod
    def initialized(cls) -> bool:
        """Return whether this program has made an agent."""
        return cls._current is not None

    @property
    def id(self) -> str:
        """The server's id of the agent."""
        return str(self._registration["id"])

    # -- what it does

    @property
    def thread_ids(self) -> list[str]:
        """Item ids of the agent's active jobs; the name is W&B's, whose agent runs each job in a thread."""
        return [str(job["item_id"]) for job in self._jobs()]

    @property
    def num_running_jobs(self) -> int:
        """Number of the agent's active jobs without sweep schedulers."""
        return sum(not job["scheduler"] for job in self._jobs())

    @property
    def num_running_schedulers(self) -> int:
        """Number of the agent's active sweep schedulers."""
        return sum(bool(job["scheduler"]) for job in self._jobs())

    def status(self) -> dict[str, Any]:
        """Return the content of `launchd status --json`; raises :class:`LaunchError` where the agent has ended."""
        status: dict[str, Any] = self._agent.ask(command="status")["status"]
        return status

    def _jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.status()["jobs"]
        return jobs

    def print_status(self) -> None:
        """Print one line: the agent's name, its queues while it takes jobs, and the number of its jobs."""
        running, limit = self.num_running_jobs, self._max_jobs
        has_free_slot = limit < 0 or running < limit
        polling = f" polling on queues {','.join(self.queues)}," if has_free_slot else ""
        maximum = "inf" if limit < 0 else limit
        name = self._registration["name"]
        line = f"launch: agent {name}{polling} running {running} of at most {maximum} jobs"
        sys.stdout.write(f"{visible(line)}\n")

    @translate_errors()
    def update_status(self, status: str) -> None:
        """Set the server's status of the agent, until the agent's next heartbeat sets it again.

        Args:
            status: `"POLLING"`, `"RUNNING"` or `"KILLED"`.

        Raises:
            LaunchError: there is no such status, or the server refuses it.
        """
        if status not in STATUSES:
            raise LaunchError(f"There is no status {status!r}. {suggestion(status, STATUSES)}")
        self._access.queue_server.update_agent(self.id, status)

    # -- taking jobs

    def loop(self) -> None:
        """Take jobs off the queues and run them until the agent is asked to end.

        Returns when the agent has ended: after its jobs, where the server or `launchd drain` asked for it, at once
        where `launchd detach` did. If the agent's process dies, it is started again and adopts its jobs.

        Raises:
            KeyboardInterrupt: Ctrl-C. The jobs run on; the next agent over the same state directory adopts them.
            LaunchError: the agent cannot go on; the message says why.
        """
        try:
            self._agent.serve()
        except KeyboardInterrupt:
            self.close()
            raise

    @translate_errors()
    def pop_from_queue(self, queue: str) -> dict[str, Any] | None:
        """Take one item off a queue and return it, with `runQueueItemId` and `runSpec`; `None` for an empty queue.

        The item is leased to this agent for a minute; :meth:`run_job` runs it.

        Raises:
            LaunchError: there is no such queue, or the server refuses or does not answer.
        """
        item = self._access.queue_server.pop(self.entity, queue, self.id)
        return None if item is None else {"runQueueItemId": item.item_id, "runSpec": item.run_spec}

    def get_job_and_queue(self) -> JobSpecAndQueue | None:
        """Take one item off the first queue that has one; the next call tries that queue last.

        Raises:
            LaunchError: as :meth:`pop_from_queue`.
        """
        for queue in list(self._rotation):
            job = self.pop_from_queue(queue)
            if job is not None:
                self._rotation.remove(queue)
                self._rotation.append(queue)
                return JobSpecAndQueue(job, queue)
        return None

    def run_job(self, job: Mapping[str, Any], queue: str, file_saver: FileSaver | None = None) -> None:
        """Run an item that was popped; returns once the supervisor has the job.

        Args:
            job: the result of :meth:`pop_from_queue`.
            queue: name of the item's queue.
            file_saver: gets the error text of a failed job, by `save_contents(text, "error.log", "error")`; the
                supervisor keeps it in any case.

        Raises:
            LaunchError: the agent did not accept the item within 30 s.
        """
        item_id = str(job["runQueueItemId"])
        self._agent.run_item(item_id, queue, job["runSpec"])
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
        """Run an item that was popped and wait for its end; returns its status: finished, failed, stopped, preempted.

        Args:
            launch_spec: the run spec to run, in place of that of `job`.
            job: the result of :meth:`pop_from_queue`.
            default_config: the agent's configuration; any other is refused.
            api: the server of the sweep that `launch_spec` names; by default the agent's.
            job_tracker: gets the attributes `run_queue_item_id` and `completed_status`; its attribute `queue`, if it
                has one, is the item's queue.

        Raises:
            LaunchError: the sweep is over, the configuration is another one, or the agent has ended.
        """
        if default_config is not None and _complete_config(default_config, self._access) != self._config:
            raise LaunchError("default_config is not this agent's configuration; make another agent for it.")
        self.check_sweep_state(launch_spec, api)
        item_id = str(job["runQueueItemId"])
        self._agent.run_item(item_id, getattr(job_tracker, "queue", None) or self.queues[0], launch_spec)
        phase = str(self._wait_finished(item_id)["phase"])
        if job_tracker is not None:
            job_tracker.run_queue_item_id, job_tracker.completed_status = item_id, phase
        return phase

    def _wait_finished(self, item_id: str) -> dict[str, Any]:
        """Return the job of an item once it has ended."""
        while True:
            job: dict[str, Any] = self._agent.ask(command="job", item=item_id)["job"]
            if job["phase"] in TERMINAL_STATUSES:
                return job
            time.sleep(POLL_SECONDS)

    def _save_failure(self, item_id: str, file_saver: FileSaver) -> None:
        """Save the error text of a failed job. Runs in a thread of its own, until the job or the agent has ended."""
        with contextlib.suppress(LaunchError):
            job = self._wait_finished(item_id)
            if job["phase"] == "failed":
                output = Path(job["log_path"])
                text = error_text(job["message"], output.parent, output.is_file(), (self._access.api_key,))
                file_saver.save_contents(text.decode(), "error.log", "error")

    @translate_errors()
    def check_sweep_state(self, launch_spec: Mapping[str, Any], api: WandbApi | None = None) -> None:
        """Check that the sweep of `launch_spec`, if it names one, is running or paused.

        Raises:
            LaunchError: the sweep is over, unknown, or cannot be looked up.
        """
        sweep = launch_spec.get("sweep_id")
        if sweep is None:
            return
        server = (self._access if api is None else as_access(api)).queue_server
        state = server.sweep_state(launch_spec["entity"], launch_spec["project"], sweep)
        if state not in ACTIVE_SWEEP_STATES:
            raise LaunchError(f"The sweep {sweep} is {(state or 'unknown').lower()}, so its run is not to be started.")

    # -- ending jobs, and itself

    @translate_errors()
    def fail_run_queue_item(
        self, run_queue_item_id: str, message: str, phase: str, files: list[str] | None = None
    ) -> None:
        """Fail an item, and stop its job if it is one of the agent's.

        Args:
            run_queue_item_id: id of the item.
            message: the reason, for the submitter.
            phase: W&B's stage of the failure: `agent`, `build` or `run`.
            files: paths of log files, among the files of the agent's run.

        Raises:
            LaunchError: the item is over already, or the server refuses.
        """
        if not self._access.queue_server.fail_item(run_queue_item_id, message, phase, files):
            raise LaunchError(f"The server did not fail item {run_queue_item_id}: it is over, or not this agent's.")
        if run_queue_item_id in self.thread_ids:
            self._agent.ask(command="stop", item=run_queue_item_id, reason=message)

    def finish_thread_id(self, thread_id: str, exception: BaseException | str | None = None) -> None:
        """Stop a job, and fail it if there is an `exception`.

        Args:
            thread_id: the item's id, one of :attr:`thread_ids`.
            exception: the reason of the failure.

        Raises:
            LaunchError: the agent has no such job, or the server refuses.
        """
        if thread_id not in self.thread_ids:
            raise LaunchError(f"This agent has no job {thread_id}.")
        if exception is None:
            self._agent.ask(command="stop", item=thread_id, reason="its agent was told to finish it")
        else:
            self.fail_run_queue_item(thread_id, str(exception), "agent")

    def close(self) -> None:
        """End the agent now; its jobs run on, and the next agent over the same state directory adopts them."""
        self._agent.detach()


@refuse_unknown_kwargs
def create_and_run_agent(api: WandbApi | None, config: Mapping[str, Any]) -> None:
    """Make a :class:`LaunchAgent` and run its :meth:`~LaunchAgent.loop`; returns after Ctrl-C too, while jobs run on.

    Args and Raises as for :class:`LaunchAgent`. Source: `wandb.sdk.launch.create_and_run_agent`.
    """
    agent = LaunchAgent(api, config)
    try:
        agent.loop()
    except KeyboardInterrupt:
        return


def _complete_config(config: Mapping[str, Any], access: Access) -> dict[str, Any]:
    """Return the configuration with W&B's defaults for the entity and the queues."""
    complete = {key: value for key, value in as_mapping(config, "config").items() if value is not None}
    if "entity" not in complete:
        complete["entity"] = access.default_entity
    if not complete.get("queues") and not complete.get("queue"):
        complete["queues"] = [DEFAULT_QUEUE]
    return complete
