"""What the agent, and `launchd doctor`, ask a process of the workers' side, which may load SDKs, and what that answers.

JSON on pipes, and one question a process: a driver, a helper or a cloud that hangs costs a process that can be ended.
"""

import msgspec

from ipc.settings import EnvironmentConfig, KubernetesConfig
from ipc.work_order import WorkOrder

#: The code of the process, as `python -m` takes it.
DIAGNOSIS_MODULE = "workers.diagnosis"


class PersistenceModes(msgspec.Struct, frozen=True, tag="persistence_modes"):
    """Which of NVIDIA's GPUs keep their driver loaded while nothing uses them?"""


class RegistryUse(msgspec.Struct, frozen=True, tag="registry_use"):
    """May this host use the registry that ``order`` has for its images? ``order`` is no job's."""

    order: WorkOrder


class CloudUse(msgspec.Struct, frozen=True, tag="cloud_use"):
    """May this host use the cloud that ``environment`` describes? ``order`` is no job's."""

    environment: EnvironmentConfig
    order: WorkOrder


class ClusterUse(msgspec.Struct, frozen=True, tag="cluster_use"):
    """May this host run jobs in the cluster of ``settings``?"""

    settings: KubernetesConfig


About = PersistenceModes | RegistryUse | CloudUse | ClusterUse


class Question(msgspec.Struct, frozen=True):
    """The one question of a process."""

    about: About


class Modes(msgspec.Struct, frozen=True, tag="modes"):
    """The names of the GPUs with persistence mode, and of those without."""

    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


class Usable(msgspec.Struct, frozen=True, tag="usable"):
    """Yes, and as whom, as a sentence."""

    sentence: str


class Hindrance(msgspec.Struct, frozen=True, tag="hindrance"):
    """No, or not known: why, as a sentence, and what helps."""

    why: str
    hint: str = ""


Answer = Modes | Usable | Hindrance

_question_decoder = msgspec.json.Decoder(Question)
_answer_decoder: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)


def decode_question(data: bytes) -> Question:
    """Return the question in ``data``; raises :class:`msgspec.DecodeError`."""
    return _question_decoder.decode(data)


def decode_answer(data: bytes) -> Answer:
    """Return the answer in ``data``; raises :class:`msgspec.DecodeError`."""
    return _answer_decoder.decode(data)
