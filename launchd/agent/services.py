"""The processes that serve all jobs of an agent.

They are the probe of its GPUs, watches of clusters, those that ask clouds, and the exporter of metrics.

Starts and ends the threads that keep them, and passes on what they tell. Main thread only.
"""

from collections.abc import Sequence

from launchd.agent.events import GpuProbeFailed, GpusSeen, ServiceEvent, WatcherEnded, WatcherReported
from launchd.agent.exporter.link import ExporterLink
from launchd.agent.gpus.host import HostGpus
from launchd.agent.request_link import RequestLink
from launchd.agent.watches import Watches


class Services:
    """The services of one agent; watches are started with the first job that needs them."""

    def __init__(
        self, gpus: HostGpus, watches: Watches, requests: Sequence[RequestLink], exporter: ExporterLink | None
    ) -> None:
        self._gpus = gpus
        self._watches = watches
        self._requests = requests
        self._exporter = exporter

    def start(self) -> None:
        """Start what runs with or without jobs."""
        if self._gpus.probe is not None:
            self._gpus.probe.start()
        for link in self._requests:
            link.start()
        if self._exporter is not None:
            self._exporter.start()

    def on_event(self, event: ServiceEvent) -> None:
        """Pass on what one of them tells."""
        pool = self._gpus.pool
        match event:
            case WatcherReported() | WatcherEnded():
                self._watches.on_event(event)
            case GpusSeen(sample) if pool is not None:
                pool.on_sample(sample)
            case GpuProbeFailed(why) if pool is not None:
                pool.on_probe_failed(why)

    def end(self) -> None:
        """Have all of them end."""
        if self._gpus.probe is not None:
            self._gpus.probe.end()
        for link in self._requests:
            link.end()
        if self._exporter is not None:
            self._exporter.end()
        self._watches.end()
