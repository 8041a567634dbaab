"""The agent of this program: runs what `launch` starts, and ends with the program. Owns which agents there are.

One agent per server, key and configuration, started with the first launch. The runs of a program that is interrupted
are stopped; a program that comes to its end waits for them, as W&B's documents say.
"""

import atexit
import contextlib
import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipc.handles import workload_name
from ipc.job_files import OUTPUT_FILE
from launchd.api.access import Access
from launchd.api.embedded.directories import launches_dir, new_directory, socket_dir
from launchd.api.embedded.parent import LEAVE_SECONDS, ChildAgent
from launchd.api.embedded.protocol import FromAgent, Leave, Refused, ReportSent, StartAgent, StopItem, TakeItem
from launchd.api.embedded.server_adapters import CALLER
from launchd.api.errors import LaunchError
from launchd.api.run_spec import AGENT_KEYS
from launchd.api.submitted_run import SubmittedRun
from launchd.config import from_values
from launchd.config.model import UNLIMITED

#: An agent's process that dies is started again, and adopts what runs; so often, then its runs are given up.
RESTARTS = 3

#: How long runs that are stopped at the end of the program may take: their grace, and the end of their agent.
STOP_SECONDS = 30.0

INTERRUPTED = "the program that launched it was interrupted"

log = logging.getLogger(__name__)


class ProgramAgent:
    """One agent of this program. Any thread may call."""

    def __init__(self, access: Access, config: Mapping[str, Any]) -> None:
        self.owner = os.getpid()
        self._lock = threading.RLock()
        try:
            self.directory, self._place = new_directory(launches_dir(os.environ))
        except OSError as error:
            raise LaunchError(f"The directory for launches cannot be used: {error}.") from error
        self._sockets = socket_dir(self.directory)
        document = agent_config(config, access.default_entity, self.directory, self._sockets)
        self._jobs_dir = Path(from_values(document, os.environ).config.launchd.state_dir, "jobs")
        self._begin = StartAgent(document, access.base_url, access.api_key, self.owner, own_queue=True)
        self._runs: dict[str, SubmittedRun] = {}
        self._taken: dict[str, TakeItem] = {}
        self._restarts = 0
        self._leaving = False
        self._refusal: str | None = None
        with self._lock:
            self._process = self._start()

    @property
    def pid(self) -> int:
        """The process id of the agent."""
        return self._process.pid

    def run(self, spec: dict[str, Any]) -> SubmittedRun:
        """Begin to run ``spec``, which names its run id; raises :class:`LaunchError` where that cannot be."""
        item_id = os.urandom(10).hex()
        output = self._jobs_dir / workload_name(self._begin.base_url, item_id, attempt=1) / OUTPUT_FILE
        run = SubmittedRun(
            spec["run_id"],
            spec["entity"],
            spec["project"],
            spec.get("name"),
            output,
            lambda reason: self._process.send(StopItem(item_id, reason)),
        )
        take = TakeItem(item_id, "", spec)
        with self._lock:
            if self._refusal is not None:
                raise LaunchError(self._refusal)
            try:
                self._process.send(take)
            except (TypeError, ValueError) as error:
                raise LaunchError(f"The run cannot be told to its agent: {error}.") from error
            self._runs[item_id], self._taken[item_id] = run, take
        return run

    def unfinished(self) -> list[SubmittedRun]:
        """Return the runs that are not over."""
        with self._lock:
            return [run for run in self._runs.values() if not run.is_over]

    def is_usable(self) -> bool:
        """Whether more can be run."""
        return self._refusal is None and not self._leaving and self.owner == os.getpid()

    def leave(self) -> None:
        """End the agent; its runs should be over."""
        with self._lock:
            self._leaving = True
        self._process.send(Leave())
        if self._process.wait(LEAVE_SECONDS) is None:
            self._process.terminate()
        shutil.rmtree(self._sockets, ignore_errors=True)
        os.close(self._place)

    def _start(self) -> ChildAgent:
        return ChildAgent(self._begin, self.directory, self._heard, self._ended)

    def _heard(self, message: FromAgent) -> None:
        match message:
            case ReportSent(report):
                with self._lock:
                    run = self._runs[report.item_id]
                    run.on_report(report)
                    if run.is_over:
                        self._taken.pop(report.item_id, None)
            case Refused(sentence):
                self._refusal = sentence

    def _ended(self, code: int) -> None:
        with self._lock:
            if self._leaving:
                return
            if self._refusal is None and self._restarts < RESTARTS:
                self._restarts += 1
                log.warning("The agent's process died and is started again.", extra={"exit_code": code})
                self._process = self._start()
                for take in self._taken.values():
                    self._process.send(take)
                return
            words = f"its agent died again and again (exit code {code}): {self._process.last_words()}"
            self._refusal = self._refusal or words
            for run in self._runs.values():
                run.on_agent_lost(self._refusal)


_agents: dict[str, ProgramAgent] = {}
_agents_lock = threading.Lock()


def program_agent(access: Access, config: Mapping[str, Any]) -> ProgramAgent:
    """Return the agent of this program for a server and for the blocks of ``config`` that are an agent's.

    Raises:
        LaunchError: it cannot keep its state anywhere. `ConfigError`: a block is wrong.
    """
    blocks = {key: config[key] for key in sorted(AGENT_KEYS & config.keys())}
    name = json.dumps([access.base_url, access.api_key, access.default_entity, blocks], default=str)
    with _agents_lock:
        agent = _agents.get(name)
        if agent is None or not agent.is_usable():
            _agents[name] = agent = ProgramAgent(access, blocks)
        return agent


def agent_config(blocks: Mapping[str, Any], entity: str, directory: Path, sockets: Path) -> dict[str, Any]:
    """Return the launch-config document of a program's own agent. What its user may do anyway, its jobs may ask for."""
    given: dict[str, Any] = dict(blocks.get("launchd") or {})
    places = {"state_dir": str(directory), "runtime_dir": str(sockets)}
    ours: dict[str, Any] = {**places, "policy": {"allow_local_git": True}, **given}
    venv = {"cache_dir": str(directory.parent.parent / "venvs")} | dict(ours.get("venv") or {})
    limits = {"max_jobs": UNLIMITED, "max_schedulers": UNLIMITED}
    return {**blocks, "entity": entity, "queues": [CALLER], **limits, "launchd": ours | {"venv": venv}}


def agents() -> list[ProgramAgent]:
    """Return the agents of this program."""
    return [agent for agent in _agents.values() if agent.owner == os.getpid()]


def end_all() -> None:
    """Wait for all runs of this program, or stop them where it was interrupted, and end its agents."""
    ours = agents()
    try:
        _agents.clear()
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            _stop_all(ours)
        for run in _unfinished(ours):
            _wait_for(run, None)
    except KeyboardInterrupt:
        _stop_all(ours)
    for agent in ours:
        agent.leave()


def _stop_all(agents: list[ProgramAgent]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    unfinished = _unfinished(agents)
    for run in unfinished:
        run.cancel(INTERRUPTED)
    for run in unfinished:
        _wait_for(run, max(0.0, deadline - time.monotonic()))


def _wait_for(run: SubmittedRun, seconds: float | None) -> None:
    with contextlib.suppress(LaunchError, TimeoutError):
        run.wait(seconds)


def _unfinished(agents: list[ProgramAgent]) -> list[SubmittedRun]:
    return [run for agent in agents for run in agent.unfinished()]


atexit.register(end_all)
