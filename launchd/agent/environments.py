"""Whether this host may use what its configuration names: cloud, registry, cluster. Asked at the agent's start.

Owns the questions, and the thread that asks them. What is asked is a process of its own, which may load SDKs and is
ended at a deadline; an answer is shown and logged, and nothing depends on it. Jobs do not wait for it.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec

from ipc.diagnosis import (
    DIAGNOSIS_MODULE,
    About,
    Answer,
    CloudUse,
    ClusterUse,
    Hindrance,
    Question,
    RegistryUse,
    Usable,
    decode_answer,
)
from ipc.run_spec import RunSpec
from ipc.settings import EnvironmentConfig, RegistryConfig
from ipc.targets import BUILDERS, CLOUDS, KUBERNETES, LOCAL_CONTAINER, TARGETS, Target
from ipc.work_order import WorkOrder
from launchd.config import AgentConfig
from launchd.config.images import push_target

#: How long an answer may take, in seconds.
WORKER_SECONDS = 30.0

#: After an answer that was no, it is asked again.
AGAIN_SECONDS = 600.0

REGISTRY = "registry"

log = logging.getLogger(__name__)


def ask_workers(about: About, environ: Mapping[str, str]) -> Answer:
    """Return the answer of a process that may load SDKs; :class:`Hindrance` also where there is none."""
    try:
        output, errors = _talk(msgspec.json.encode(Question(about)), environ)
        return decode_answer(output)
    except msgspec.DecodeError:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return Hindrance(f"What was to ask ended early: {last}.")
    except subprocess.TimeoutExpired:
        return Hindrance(f"There was no answer within {WORKER_SECONDS:g} s.")
    except OSError as error:
        return Hindrance(f"What was to ask cannot be started: {error.strerror}.")


def _talk(question: bytes, environ: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return output and errors of the process; what it started goes with it where it takes too long."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", DIAGNOSIS_MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(question, WORKER_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


class Asked(NamedTuple):
    """What is looked at, in a word for people, and the question."""

    name: str
    about: About


class Environment(msgspec.Struct, frozen=True):
    """What was found: ``usable`` is whether this host may use it, ``hint`` what helps where it may not.

    ``checked_at`` is in seconds since the epoch.
    """

    name: str
    usable: bool
    sentence: str
    hint: str
    checked_at: float


def questions(config: AgentConfig) -> Iterator[Asked]:
    """Yield what this configuration names, and jobs are going to need."""
    for cloud in clouds(config):
        yield Asked(cloud.type, CloudUse(cloud, order_of_no_job(config, None)))
    target = push_target(config.builder, config.registry, config.environment)
    if target is not None:
        yield Asked(REGISTRY, RegistryUse(order_of_no_job(config, target)))
    if needs_cluster(config):
        yield Asked(KUBERNETES, ClusterUse(config.launchd.kubernetes))


def grants(config: AgentConfig, resource: str) -> bool:
    """Return whether some queue may ask for ``resource``."""
    policy = config.launchd.policy
    return any(resource in policy.for_queue(queue).resources for queue in config.queues)


def clouds(config: AgentConfig) -> Iterator[EnvironmentConfig]:
    """Yield the cloud that is configured, and those of other targets, which are used by their default credentials."""
    named = config.environment
    if named is not None:
        yield named
    extras = {target.extra for target in _granted(config)}
    for cloud in CLOUDS:
        if cloud.extra in extras and (named is None or named.type != cloud.environment):
            yield EnvironmentConfig(cloud.environment)


def needs_cluster(config: AgentConfig) -> bool:
    """Return whether jobs run in the Kubernetes cluster, or have their images built there."""
    builder = BUILDERS.get(config.builder.type or "")
    builds_there = builder is not None and builder.extra == KUBERNETES
    return any(
        target.name == KUBERNETES or (builds_there and config.builder.type in target.builders)
        for target in _granted(config)
    )


def _granted(config: AgentConfig) -> Iterator[Target]:
    """Yield the targets that some queue may ask for."""
    return (target for target in TARGETS.values() if any(grants(config, word) for word in target.words))


def order_of_no_job(config: AgentConfig, target: RegistryConfig | None) -> WorkOrder:
    """Return a work order for what a registry or a cloud reads of one."""
    entity = config.entity or "launchd"
    return WorkOrder(
        name="no-job",
        item_id="",
        queue="",
        entity=entity,
        attempt=1,
        base_url="",
        spec=RunSpec(entity, "no-project", "no-run", LOCAL_CONTAINER),
        directory="",
        registry=target,
        environment=config.environment,
        aws=config.launchd.aws,
        registry_access=config.launchd.registry,
        builder_config=config.builder,
    )


class Environments:
    """Asks for each configuration once, and again after a while where the answer was no. Asking has a thread."""

    def __init__(self, ask: Callable[[About], Answer] | None = None) -> None:
        self._ask = ask or partial(ask_workers, environ=os.environ)
        self._config: AgentConfig | None = None
        self._ask_again_at = 0.0
        self._thread: threading.Thread | None = None
        self._found: tuple[Environment, ...] = ()

    def look(self, config: AgentConfig) -> None:
        """Ask, if that is due."""
        is_asking = self._thread is not None and self._thread.is_alive()
        is_new = config is not self._config
        has_doubt = any(not one.usable for one in self._found)
        if is_asking or not (is_new or (has_doubt and time.monotonic() > self._ask_again_at)):
            return
        self._config, self._ask_again_at = config, time.monotonic() + AGAIN_SECONDS
        asked = tuple(questions(config))
        self._found = tuple(one for one in self._found if one.name in {new.name for new in asked})
        if asked:
            self._thread = threading.Thread(target=self._work, args=(asked,), name="environments", daemon=True)
            # Python's word for a thread that the kernel refused.
            with suppress(RuntimeError):
                self._thread.start()

    def status(self) -> list[dict[str, Any]]:
        """Return what was found, as plain values."""
        return [msgspec.to_builtins(one) for one in self._found]

    def _work(self, asked: tuple[Asked, ...]) -> None:
        try:
            for one in asked:
                self._note(one.name, self._ask(one.about))
        except Exception:
            # What could not be asked is not known; jobs find out.
            log.exception("The environments of this host could not be looked at.")

    def _note(self, name: str, answer: Answer) -> None:
        before = next((one for one in self._found if one.name == name), None)
        now = _found(name, answer)
        self._found = (*(one for one in self._found if one.name != name), now)
        if before is not None and before.sentence == now.sentence:
            return
        level = logging.INFO if now.usable else logging.WARNING
        what = "What jobs need is there." if now.usable else "Jobs that need this are going to fail."
        log.log(
            level, what, extra={"environment": name, "found": now.sentence, **({"hint": now.hint} if now.hint else {})}
        )


def _found(name: str, answer: Answer) -> Environment:
    match answer:
        case Usable(sentence):
            # A registry's sentence begins with its name.
            whole = f"The registry of {sentence}" if name == REGISTRY else sentence
            return Environment(name, usable=True, sentence=whole, hint="", checked_at=time.time())
        case Hindrance(why, hint):
            return Environment(name, usable=False, sentence=why, hint=hint, checked_at=time.time())
        case _:
            sentence = "What was to ask gave the answer to another question."
            return Environment(name, usable=False, sentence=sentence, hint="", checked_at=time.time())
