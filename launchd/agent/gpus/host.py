"""Whether an agent gives out the GPUs of its host, and by what it knows them."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from ipc.gpu_probe import ProbeSettings
from launchd.agent.clock import SystemClock
from launchd.agent.events import EventQueue
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.gpus.probe_link import ProbeLink
from launchd.agent.host_locks import HostLocks
from launchd.agent.journal import Journal
from launchd.config.model import GpusConfig

#: What is there where the driver of a vendor is loaded.
NVIDIA_SIGNS = ("/proc/driver/nvidia", "/dev/nvidiactl")
AMD_SIGNS = ("/sys/class/kfd/kfd/topology/nodes",)

#: The module by which the probe asks NVIDIA's driver. It is looked for here, and never loaded.
NVML_MODULE = "pynvml"


class HostGpus(msgspec.Struct, frozen=True):
    """The GPUs of the host. Without a ``pool`` the agent gives out none, for the reason in ``why_none``."""

    pool: GpuPool | None = None
    probe: ProbeLink | None = None
    why_none: str = ""


def find_gpus(config: GpusConfig, journal: Journal, events: EventQueue, locks: HostLocks) -> HostGpus:
    """Return the GPUs that the agent gives out, kept from other agents by ``locks``; the probe is not started yet."""
    why_none = None if config.devices else why_unmanaged(config.manage)
    if why_none is not None:
        return HostGpus(why_none=why_none)
    probe = None
    if not config.devices:
        probe = ProbeLink(events, ProbeSettings(config.probe_seconds), config.probe_timeout_seconds)
    pool = GpuPool(config, journal, SystemClock(), os.environ, None if probe is None else probe.ask, locks)
    return HostGpus(pool, probe)


def why_unmanaged(
    manage: bool | None, *, exists: Callable[[str], bool] = lambda path: Path(path).exists(), nvml: bool | None = None
) -> str | None:
    """Return why an agent with this setting of ``launchd.gpus.manage`` gives out no GPUs; ``None`` where it does.

    ``exists`` tells what there is on the host, ``nvml`` whether NVIDIA's library for Python is installed.
    """
    has_nvml = find_spec(NVML_MODULE) is not None if nvml is None else nvml
    if manage is False:
        return "launchd.gpus.manage is false in its configuration."
    if manage or any(map(exists, AMD_SIGNS)):
        return None
    if not any(map(exists, NVIDIA_SIGNS)):
        return "no driver of GPUs is loaded there."
    return None if has_nvml else "it was installed without the extra gpu (requirements/gpu.lock)."
