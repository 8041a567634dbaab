"""What the service manager hears while the agent runs: its state in a line, and that it lives. Main thread only."""

from launchd.agent.configuration import Configuration
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.state_reader import StateReader
from launchd.agent.status import status_line
from launchd.daemon.systemd import SystemdNotifier


class SignsOfLife:
    """The signs of one agent."""

    def __init__(
        self,
        notifier: SystemdNotifier,
        state: StateReader,
        health: ServerHealth,
        controller: JobController,
        table: JobTable,
        configuration: Configuration,
    ) -> None:
        self._notifier = notifier
        self._state = state
        self._health = health
        self._controller = controller
        self._table = table
        self._configuration = configuration

    def send_status(self) -> None:
        """Say how the agent stands."""
        self._notifier.status(status_line(self._state.read(), self._table, self._controller.context))

    def feed_watchdog(self) -> None:
        """Say that the agent is alive, unless the queue server has been away for too long.

        A client that hangs is as bad as a loop that does. A server that is away for longer than this costs a restart
        now and then, and a restart costs no job.
        """
        limit = self._configuration.in_force.launchd.supervision.server_silence_seconds
        if self._health.was_reached_within(limit):
            self._notifier.feed_watchdog()
