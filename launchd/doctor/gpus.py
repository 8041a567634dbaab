"""NVIDIA's GPUs: whether their driver answers, and whether it stays loaded while nothing uses them."""

from collections.abc import Iterator

from ipc.diagnosis import Hindrance, Modes, PersistenceModes
from launchd.agent.environments import ask_workers
from launchd.agent.gpus.host import NVIDIA_SIGNS
from launchd.doctor.findings import Finding, fail, not_applicable, ok, warn
from launchd.doctor.host import Host

SILENCE = (
    "The driver of the GPUs hangs; so does all that asks it, jobs included.",
    "`dmesg` says which GPU (XID); drain the host and restart it.",
)


def check_persistence(host: Host) -> Iterator[Finding]:
    """Ask NVIDIA's driver for the persistence mode of each GPU."""
    if not any(host.file(sign).exists() for sign in NVIDIA_SIGNS):
        yield not_applicable("NVIDIA's driver is not loaded here.")
        return
    match ask_workers(PersistenceModes(), host.environ):
        case Modes(on, ()):
            yield ok(f"Persistence mode is on, for {len(on)} GPUs.")
        case Modes(_, off):
            yield warn(
                f"Persistence mode is off for GPU {', '.join(off)}.",
                "The driver leaves such a GPU after each job: the next one starts seconds later, settings are lost.",
                "`systemctl enable --now nvidia-persistenced`, or `nvidia-smi -pm 1` at each boot.",
            )
        case Hindrance(why, hint):
            yield fail(why, "The agent cannot give out these GPUs.", hint)
        case _:
            yield not_applicable("There is no GPU of NVIDIA here.")
