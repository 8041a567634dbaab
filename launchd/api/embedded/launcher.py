"""The agents of this program, which run the jobs of `launch` and end with the program. Owns the list of them.

There is one agent per server, key and configuration, started by the first launch. If the program is interrupted, its
runs are stopped; at its normal end, it waits for them, as W&B's documentation says.
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
from ipc.targets import IMAGE_BUILD, KUBERNETES, LOCAL_CONTAINER, LOCAL_PROCESS, SAGEMAKER, VERTEX, find_target
from launchd.api.access import Access
from launchd.api.embedded.directories import launches_dir, new_directory, socket_dir
from launchd.api.embedded.parent import LEAVE_SECONDS, ChildAgent
from launchd.api.embedded.protocol import FromAgent, ReportSent, RunItem, Shutdown, StartAgent, StartRefused, StopItem
from launchd.api.embedded.server_adapters import PROGRAM
from launchd.api.errors import LaunchError
from launchd.api.run_spec import AGENT_KEYS
from launchd.api.submitted_run import SubmittedRun
from launchd.client.queue_server import Report
from launchd.config import from_values
from launchd.config.model import UNLIMITED

#: How often an agent's process that died is started again to adopt its jobs, before its runs are given up.
RESTARTS = 3

#: How long stopped runs may take at the end of the program: their grace, and the end of their agent.
STOP_SECONDS = 30.0

#: What the policy of a program's agent grants, where the program has none: its jobs have its user's rights anyway.
COMMON_POLICY: Mapping[str, Any] = {"allow_local_git": True}

_ALL = ["*"]
_NO_MAXIMUM = 10**9

#: And more of that by resource. A program that reaches the engine is as good as root anyway, and in a cluster or a
#: cloud it has its user's own rights: nothing is kept from its jobs that is not kept from the user.
POLICIES: Mapping[str, Mapping[str, Any]] = {
    LOCAL_CONTAINER: {"resources": [LOCAL_CONTAINER], "preset": "trusted"},
    KUBERNETES: {"resources": [KUBERNETES], "preset": "trusted", "kubernetes": {"config_files": ["/"]}},
    VERTEX: {"resources": [VERTEX], "preset": "trusted"},
    SAGEMAKER: {
        "resources": [SAGEMAKER],
        "preset": "trusted",
        "sagemaker": {
            **dict.fromkeys(("roles", "regions", "profiles", "subnets", "security_groups", "fields"), _ALL),
            **dict.fromkeys(("instances", "runtime_seconds", "volume_gib"), _NO_MAXIMUM),
        },
    },
    IMAGE_BUILD: {"resources": [IMAGE_BUILD]},
}

INTERRUPTED = "the program that launched it was interrupted"

log = logging.getLogger(__name__)


class ProgramAgent:
    """One agent of this program. Thread-safe."""

    def __init__(self, access: Access, config: Mapping[str, Any]) -> None:
        self.owner_pid = os.getpid()
        self._lock = threading.RLock()
        try:
            self.directory, self._lock_fd = new_directory(launches_dir(os.environ))
        except OSError as error:
            raise LaunchError(f"The directory for launches cannot be used: {error}.") from error
        self._sockets = socket_dir(self.directory)
        complete = agent_config(config, access.default_entity, self.directory, self._sockets)
        self._jobs_dir = Path(from_values(complete, os.environ).config.launchd.state_dir, "jobs")
        self._start_message = StartAgent(complete, access.base_url, access.api_key, self.owner_pid, own_queue=True)
        #: The runs that are not over, each with the item that the next process of the agent gets again.
        self._unfinished: dict[str, tuple[SubmittedRun, RunItem]] = {}
        self._restarts = 0
        self._closing = False
        self._refusal: str | None = None
        with self._lock:
            self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id of the agent."""
        return self._process.pid

    def run(self, spec: dict[str, Any]) -> SubmittedRun:
        """Start the run of ``spec``, which has its run id; raises :class:`LaunchError` where the agent is lost."""
        item_id = os.urandom(10).hex()
        output = self._jobs_dir / workload_name(self._start_message.base_url, item_id, attempt=1) / OUTPUT_FILE
        run = SubmittedRun(
            spec["run_id"],
            spec["entity"],
            spec["project"],
            spec.get("name"),
            output,
            lambda reason: self._stop(item_id, reason),
        )
        message = RunItem(item_id, "", spec)
        with self._lock:
            if self._refusal is not None:
                raise LaunchError(self._refusal)
            try:
                self._process.send(message)
            except (TypeError, ValueError) as error:
                raise LaunchError(f"The run cannot be sent to its agent: {error}.") from error
            self._unfinished[item_id] = run, message
        return run

    def _stop(self, item_id: str, reason: str) -> None:
        with self._lock:  # After its item, also where the process was just started again.
            if item_id in self._unfinished:
                self._process.send(StopItem(item_id, reason))

    def unfinished(self) -> list[SubmittedRun]:
        """Return the runs that have not ended."""
        with self._lock:
            return [run for run, _ in self._unfinished.values()]

    def is_usable(self) -> bool:
        """Return whether the agent can run more jobs, for this process."""
        return self._refusal is None and not self._closing and self.owner_pid == os.getpid()

    def close(self) -> None:
        """End the agent, whose runs should have ended."""
        with self._lock:
            self._closing = True
        self._process.send(Shutdown())
        if self._process.wait(LEAVE_SECONDS) is None:
            self._process.terminate()
        shutil.rmtree(self._sockets, ignore_errors=True)
        os.close(self._lock_fd)

    def _start(self) -> ChildAgent:
        return ChildAgent(self._start_message, self.directory, self._on_message, self._on_exit)

    def _on_message(self, message: FromAgent) -> None:
        match message:
            case ReportSent(report):
                with self._lock:
                    self._on_report(report)
            case StartRefused(sentence):
                self._refusal = sentence

    def _on_report(self, report: Report) -> None:
        run, _ = self._unfinished.get(report.item_id, (None, None))
        if run is None:  # Said again by a process that was started after it was over.
            return
        run._on_report(report)
        if run.is_over:
            del self._unfinished[report.item_id]

    def _on_exit(self, code: int) -> None:
        with self._lock:
            if self._closing:
                return
            if self._refusal is None and self._restarts < RESTARTS:
                self._restarts += 1
                log.warning("The agent's process died and is started again.", extra={"exit_code": code})
                self._process = self._start()
                for _, message in self._unfinished.values():
                    self._process.send(message)
                return
            problem = f"its agent died again and again (exit code {code}): {self._process.last_log_line()}"
            self._refusal = self._refusal or problem
            for run, _ in self._unfinished.values():
                run._on_agent_lost(self._refusal)
            self._unfinished.clear()


_agents: dict[str, ProgramAgent] = {}
_agents_lock = threading.Lock()


def program_agent(access: Access, config: Mapping[str, Any], resource: str = LOCAL_PROCESS) -> ProgramAgent:
    """Return the agent of this program for a server and for the sections of ``config`` that configure an agent.

    Its policy grants ``resource``; what ``config`` grants beside comes on top.

    Raises:
        LaunchError: its state directory cannot be used. `ConfigError`: a section is wrong.
    """
    sections = sections_of(config, resource)
    name = json.dumps([access.base_url, access.api_key, access.default_entity, sections], default=str)
    with _agents_lock:
        agent = _agents.get(name)
        if agent is None or not agent.is_usable():
            _agents[name] = agent = ProgramAgent(access, sections)
        return agent


def sections_of(config: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """Return the sections of ``config`` that configure an agent, whose policy grants ``resource``."""
    sections = {key: config[key] for key in sorted(AGENT_KEYS & config.keys())}
    target = find_target(resource)
    if target is not None and target.name in POLICIES:
        given = sections.get("launchd") or {}
        sections["launchd"] = {**given, "policy": _policy(target.name, given.get("policy") or {})}
    return sections


def _policy(resource: str, given: Mapping[str, Any]) -> dict[str, Any]:
    own = {**COMMON_POLICY, **POLICIES[resource]}
    inner = {name: {**rules, **(given.get(name) or {})} for name, rules in own.items() if type(rules) is dict}
    return {**own, **given, **inner}


def agent_config(sections: Mapping[str, Any], entity: str, directory: Path, sockets: Path) -> dict[str, Any]:
    """Return the configuration of a program's agent, with the keys of `launch-config.yaml`.

    Its policy allows git repositories of this machine, since its jobs have the rights of the program's user anyway.
    """
    given: dict[str, Any] = dict(sections.get("launchd") or {})
    directories = {"state_dir": str(directory), "runtime_dir": str(sockets)}
    settings: dict[str, Any] = {**directories, "policy": COMMON_POLICY, **given}
    venv = {"cache_dir": str(directory.parent.parent / "venvs")} | dict(settings.get("venv") or {})
    limits = {"max_jobs": UNLIMITED, "max_schedulers": UNLIMITED}
    return {**sections, "entity": entity, "queues": [PROGRAM], **limits, "launchd": settings | {"venv": venv}}


def agents() -> list[ProgramAgent]:
    """Return the agents of this process; a fork inherits the list and none of them."""
    return [agent for agent in _agents.values() if agent.owner_pid == os.getpid()]


def end_all() -> None:
    """Wait for all runs of this program, or stop them if it was interrupted, and end its agents."""
    own_agents = agents()
    try:
        _agents.clear()
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            _stop_all(own_agents)
        for run in _unfinished(own_agents):
            _wait_for(run, None)
    except KeyboardInterrupt:
        _stop_all(own_agents)
    for agent in own_agents:
        agent.close()


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
