"""A process that answers one question of `launchd doctor` about what only SDKs, drivers and helper programs know.

Reads the question from its input and writes the answer to its output. It changes nothing on the host.
"""

import sys

import msgspec
from setproctitle import setproctitle

from ipc.diagnosis import (
    About,
    Answer,
    CloudUse,
    ClusterUse,
    Hindrance,
    Modes,
    PersistenceModes,
    RegistryUse,
    Usable,
    decode_question,
)
from ipc.errors import JobError
from ipc.extras import how_to_install
from ipc.settings import EnvironmentConfig, KubernetesConfig
from ipc.work_order import WorkOrder
from workers import processes
from workers.environments import create_environment
from workers.registries import load_registry

#: A tag that no image has: who may ask for it may read the repository.
_NO_TAG = "launchd-doctor-asks"


def answer(question: About) -> Answer:
    """Return the answer; what cannot be found out is an answer too."""
    match question:
        case PersistenceModes():
            return _modes()
        case RegistryUse(order):
            return _registry(order)
        case CloudUse(environment, order):
            return _cloud(environment, order)
        case ClusterUse(settings):
            return _cluster(settings)


def _modes() -> Answer:
    try:
        from workers.gpus.nvml import NvmlUnavailable, persistence_modes  # noqa: PLC0415 (its package may be missing)
    except ModuleNotFoundError:
        return Hindrance("NVIDIA's GPUs cannot be asked.", f"Install that: {how_to_install('gpu')}.")
    try:
        modes = persistence_modes()
    except NvmlUnavailable as error:
        return Hindrance(str(error), "`nvidia-smi` says more.")
    return Modes(
        tuple(name for name, is_on in modes.items() if is_on), tuple(name for name, is_on in modes.items() if not is_on)
    )


def _registry(order: WorkOrder) -> Answer:
    try:
        registry = load_registry(order, pause=lambda _seconds: None)
        repository = registry.repository(order.entity, "launchd-doctor")
        registry.digest(f"{repository}:{_NO_TAG}")
        shown = registry.credentials(f"{repository}:{_NO_TAG}")
    except JobError as error:
        return Hindrance(error.message, error.hint or "")
    whom = "without credentials" if shown is None else f"as {shown.username or 'the holder of a token'}"
    return Usable(f"{repository} answers {whom}.")


def _cloud(config: EnvironmentConfig, order: WorkOrder) -> Answer:
    try:
        return Usable(create_environment(config, order).verify())
    except JobError as error:
        return Hindrance(error.message, error.hint or "")


def _cluster(settings: KubernetesConfig) -> Answer:
    try:
        from workers.kubernetes.verification import verify  # noqa: PLC0415 (its package may be missing)
    except ModuleNotFoundError:
        return Hindrance("Kubernetes cannot be asked.", "Install launchd-agent with its extra kubernetes.")
    try:
        return Usable(verify(settings))
    except JobError as error:
        return Hindrance(error.message, error.hint or "")


def main() -> int:
    """Answer the question that stands in the input; returns the exit code."""
    setproctitle("launchd: doctor")
    processes.die_with_parent()
    question = decode_question(sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.json.encode(answer(question.about)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
