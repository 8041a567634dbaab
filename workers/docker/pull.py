"""Has the engine pull an image, while the job can be stopped: with progress, and an end where there is none."""

import os
import threading
import time
from collections.abc import Mapping
from multiprocessing import connection
from typing import Any

from ipc.errors import RunnerUnavailable, SourceError
from ipc.sizes import format_size
from workers.context import JobContext
from workers.docker.engine import NOT_FOUND, Engine, EngineError, Image
from workers.docker.engine_disk import free_bytes
from workers.docker.images import ImageName
from workers.docker.request import ContainerRequest

#: Values of the flag `pull`; the first is what counts where it is left out, as with W&B's agent.
ALWAYS, NEVER = "always", "never"

_ID_HINT = "An image is named by its id as sha256: with all 64 digits, as `docker images --no-trunc` has it."
#: A pull leaves so many bytes of the engine's disk to others.
LEAST_FREE_BYTES = 1 << 30

_UNAUTHORIZED = (401, 403, NOT_FOUND)
_DONE = ("Pull complete", "Already exists")
_MIB = 1 << 20


class PullFailed(Exception):
    """The image could not be pulled, and why, as a sentence; the engine may have it all the same."""

    def __init__(self, message: str, hint: str = "Check its name, and whether this host may pull it.") -> None:
        super().__init__(message)
        self.hint = hint


class _Progress:
    """What the engine said of the layers of an image."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[str, int]] = {}
        self._totals: dict[str, int] = {}
        self.error: str | None = None

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take an event; returns whether it is progress."""
        self.error = event.get("error") or self.error
        layer, detail = str(event.get("id") or ""), event.get("progressDetail") or {}
        seen = (str(event.get("status") or ""), int(detail.get("current") or 0))
        if self._layers.get(layer) == seen:
            return False
        self._layers[layer] = seen
        if detail.get("total") and seen[0] == "Downloading":
            self._totals[layer] = int(detail["total"])
        return True

    def text(self) -> str:
        """Say how far it is."""
        done = sum(status in _DONE for status, _ in self._layers.values())
        loaded = sum(at for layer, (status, at) in self._layers.items() if status == "Downloading" and layer)
        total = sum(self._totals.values())
        size = f", {loaded // _MIB} of {total // _MIB} MiB at present" if loaded and total else ""
        return f"{done} layers are there{size}"


class _Pull(threading.Thread):
    """One pull, in a thread of its own: it is left alone where it is not waited for any more."""

    def __init__(self, address: str, image: ImageName, platform: str | None, auth: Mapping[str, str] | None) -> None:
        super().__init__(name="pull", daemon=True)
        self._address = address
        self._image = image
        self._platform = platform
        self._auth = auth
        self.progress = _Progress()
        self.moved_at = time.monotonic()
        self.failure: Exception | None = None
        self.is_given_up = False
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> None:
        """Pull; each progress can be read from :attr:`reader`, its closing is the end."""
        engine = Engine(self._address)
        try:
            for event in engine.pull(str(self._image), self._platform, self._auth):
                if self.progress.take(event):
                    self.moved_at = time.monotonic()
                if self.is_given_up:
                    # The engine ends a pull that its client leaves.
                    break
        except (EngineError, RunnerUnavailable) as error:
            self.failure = error
        finally:
            engine.close()
            os.close(self._writer)


def bring(
    engine: Engine,
    image: ImageName,
    request: ContainerRequest,
    context: JobContext,
    auth: Mapping[str, str] | None = None,
) -> str | None:
    """Have the engine pull ``image``, unless it has what ``request`` asks for; returns the id of what was pulled.

    ``auth`` of None is what Docker's own configuration has for its registry. Where a pull fails and the engine has the
    image all the same, that is a warning, and ``None`` is returned.

    Raises:
        SourceError: it cannot be had.
        RunnerUnavailable: the engine does not answer.
        JobCancelled: the job was stopped meanwhile.
    """
    present = engine.image(str(image))
    if present is None and request.pull == NEVER:
        raise missing(image)
    if present is not None and _is_settled(image, present, request.pull):
        return None
    context.progress(f"pulling {image}")
    try:
        pull(engine, image, request.platform, context, context.order.docker.pull_no_progress_seconds, auth)
    except PullFailed as error:
        if present is None:
            raise SourceError(str(error), hint=_ID_HINT if image.may_be_short_id else error.hint) from error
        context.warn(f"{error} The one that this host has was taken.", "agent")
        return None
    pulled = engine.image(str(image))
    # What was here before the first pull is not the agent's to remove.
    return pulled.id if pulled is not None and (present is None or pulled.id != present.id) else None


def _is_settled(image: ImageName, present: Image, wanted: str | None) -> bool:
    """Return whether the image that the engine has is the one to run, without a look at its registry."""
    # An image without a digest of a repository was made here: there is nowhere to pull it from.
    return (wanted or ALWAYS) != ALWAYS or image.is_pinned or not present.repo_digests


def pull(
    engine: Engine,
    image: ImageName,
    platform: str | None,
    context: JobContext,
    silent_seconds: float,
    auth: Mapping[str, str] | None = None,
) -> None:
    """Pull ``image``; ``auth`` of None is what Docker's own configuration has for its registry.

    Raises:
        PullFailed: it cannot be had; the message says why.
        RunnerUnavailable: the engine does not answer.
        JobCancelled: the job was stopped meanwhile.
    """
    directory = _asked_directory(engine)
    _require_room(engine, directory, image)
    running = _Pull(engine.address, image, platform, auth)
    running.start()
    try:
        while not connection.wait([running.reader, context.signal_fileno()], 1.0):
            context.progress(f"pulling {image}: {running.progress.text()}")
            _require_room(engine, directory, image)
            if time.monotonic() - running.moved_at > silent_seconds:
                raise PullFailed(
                    f"The pull of {image} made no progress for {silent_seconds:g} s and was given up"
                    " (launchd.docker.pull_no_progress_seconds).",
                    "See whether its registry can be reached from this host, and launch the job again.",
                )
        context.raise_if_interrupted()
        running.join()
    finally:
        running.is_given_up = True
        os.close(running.reader)
    _raise_failure(running, image)


def _asked_directory(engine: Engine) -> str:
    try:
        return engine.data_directory()
    except EngineError:
        return ""


def _require_room(engine: Engine, directory: str, image: ImageName) -> None:
    """Raise :class:`PullFailed` before a pull takes the room in which other containers write."""
    free = free_bytes(engine, directory)
    if free is not None and free < LEAST_FREE_BYTES:
        raise PullFailed(
            f"The pull of {image} was given up: less than {format_size(LEAST_FREE_BYTES)} of the container engine's"
            f" disk ({directory}) is free.",
            "The administrator makes room there (launchd clean --unused).",
        )


def _raise_failure(done: _Pull, image: ImageName) -> None:
    match done.failure:
        case EngineError() as error if error.status in _UNAUTHORIZED:
            raise PullFailed(f"The image {image} does not exist at its registry, or may not be read by this host.")
        case EngineError() as error:
            raise PullFailed(f"The image {image} could not be pulled: {error.explanation}.")
        case RunnerUnavailable() as error:
            raise error
        case _:
            pass
    if done.progress.error is not None:
        raise PullFailed(f"The image {image} could not be pulled: {done.progress.error}.")


def missing(image: ImageName) -> SourceError:
    """Return the error for an image that the engine has not, and is not to pull."""
    return SourceError(
        f"The image {image} is not on this host, and the job's argument pull forbids to fetch it.",
        hint="Launch the job without pull: never.",
    )
