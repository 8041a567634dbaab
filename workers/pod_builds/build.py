"""One build in a pod, from its record on disk to the last of what it leaves.

First the record, then the files and the Secrets, then the Job: all that may exist outside has its name on disk before.
A Job that is there already under the name is this build, begun by a worker that died, and is taken up. One whose pod
the cluster takes away is begun anew.
"""

import logging
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

from ipc.errors import BuildError, HostError, RunnerUnavailable
from ipc.failpoints import hit
from ipc.states import TERMINAL_STATES, JobState
from ipc.work_order import WorkOrder
from workers.context import DetachRequested, JobContext
from workers.images import ImagePlan
from workers.images.build_log import BUILD_LOG_FILE, BuildLog, follow, in_words
from workers.kubernetes.access import Access
from workers.kubernetes.api import KubernetesApi
from workers.kubernetes.archives import pack
from workers.kubernetes.events import why_it_waits
from workers.kubernetes.status import Seen, judge_job
from workers.kubernetes.taken import TakenPods
from workers.pod_builds.cluster import BuildObjects
from workers.pod_builds.content import Kit, Object, build_name
from workers.pod_builds.files import hand_over, remove_stored
from workers.pod_builds.output import BuildOutput
from workers.pod_builds.preparation import prepare, record_of
from workers.pod_builds.records import BuildRecord, BuildRecords
from workers.registries import Registry

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How often a build is looked at, in seconds; a look takes two requests.
LOOK_SECONDS = 2.0
#: How long a build that is over is waited for the rest of its logs, in seconds.
OUTPUT_END_SECONDS = 15.0
#: How long a build waits without a reason before the cluster's events are asked for one, in seconds; then as often.
REASON_SECONDS = 10.0
#: How often a build is begun in all, where the cluster takes its pods away.
MOST_BEGINNINGS = 5
#: In the job's directory: the files of the image, packed; which pods of the build were taken away.
_ARCHIVE_FILE = "image-files.tgz"
_TAKEN_DIRECTORY = "build-pods"


class PodBuild:
    """Builds one image with a tool; ``log`` keeps what it says."""

    def __init__(self, kit: Kit, registry: Registry, context: JobContext, plan: ImagePlan, log: BuildLog) -> None:
        self._kit = kit
        self._registry = registry
        self._context = context
        self._plan = plan
        self._log = log
        order = context.order
        access = Access(order.kubernetes.config_file, order.kubernetes.context)
        self._api = KubernetesApi(access, order.kubernetes.timeout_seconds)
        namespace = order.kubernetes.builds.namespace or order.kubernetes.namespace or self._api.usual_namespace()
        self._deadline = time.monotonic() + order.kubernetes.builds.timeout_seconds
        self._records = BuildRecords(context)
        self._record = record_of(build_name(order, plan.reference), namespace, order, kit)
        self._objects = BuildObjects(self._api, namespace, self._record.name)

    def run(self) -> None:
        """Build the image, which the tool pushes.

        Raises:
            BuildError: it cannot be built, hangs, or takes too long.
            HostError: this host cannot do its part.
            JobCancelled: the job was stopped meanwhile.
        """
        try:
            with self._records.held(self._record.name):
                remove_abandoned(self._records, self._context.order)
                self._run()
        finally:
            self._api.close()

    def _run(self) -> None:
        try:
            self._build()
            hit("pod_build.over")
        except DetachRequested:
            # The next worker takes the build up.
            raise
        except BaseException:
            self._remove()
            raise
        self._remove()

    def _build(self) -> None:
        """Build until the image is pushed: what the cluster takes away says nothing of the image."""
        job = self._found()
        for beginning in range(1, MOST_BEGINNINGS + 1):
            job = job or self._begin()
            ended, text = self._watch(job)
            if ended.state is JobState.FINISHED:
                return
            if ended.state is not JobState.PREEMPTED:
                raise self._failed(ended, text)
            if beginning == MOST_BEGINNINGS:
                raise self._error(f"The build of the image was begun {beginning} times. {ended.message}", text)
            self._context.warn(f"{ended.message} It was building the image, which is begun anew.", "build")
            self._clear(job)
            job = None
        raise AssertionError

    def _clear(self, job: Object) -> None:
        """Remove a build so that the next one may have its name."""
        self._asked(lambda: remove_build(self._record, self._objects, self._context.order))
        while _is_same(self._asked(self._objects.find), job):
            if time.monotonic() > self._deadline:
                raise BuildError("The build of the image was taken away, and does not leave the cluster.")
            self._context.wait(LOOK_SECONDS)

    def _found(self) -> Object | None:
        return self._asked(self._objects.find)

    def _begin(self) -> Object:
        """Bring everything into the cluster, the Job last; returns it."""
        self._context.progress("handing the files of the image over to the cluster")
        self._records.write(self._record)
        hit("pod_build.announced")
        order, name = self._context.order, self._record.name
        archive = self._context.directory / _ARCHIVE_FILE
        try:
            pack(self._plan.context, archive)
            files = self._asked(lambda: hand_over(archive, name, order, self._kit))
        finally:
            archive.unlink(missing_ok=True)
        prepared = prepare(self._record, files, self._plan, order, self._registry, self._kit)
        for secret in prepared.secrets:
            self._asked(lambda one=secret: self._objects.put_secret(one))  # type: ignore[misc]
        created = self._asked(lambda: self._objects.create(prepared.job))
        hit("pod_build.created")
        for remark in self._api.take_remarks():
            self._context.warn(f"Kubernetes took the build of the image, and remarked: {remark}.", "build")
        for secret in prepared.secrets:
            self._asked(lambda one=secret: self._objects.give_secret(one["metadata"]["name"], created))  # type: ignore[misc]
        return created

    # -- while it goes on

    def _watch(self, job: Object) -> tuple[Seen, str]:
        """Watch a build to its end; returns how it ended, and the last that it said."""
        hit("pod_build.watched")
        # A build that goes on under another worker has it; the next one has other pods.
        place = self._context.directory / _TAKEN_DIRECTORY / str(job["metadata"]["uid"])
        place.mkdir(parents=True, exist_ok=True)
        taken = TakenPods(place)
        take = follow(self._log, self._context.progress)
        output = BuildOutput(
            self._api, self._objects.pods_path, self._context.directory, lambda line: take(self._log.redact(line))
        )
        patience = _Patience()
        ended: Seen | None = None
        try:
            while ended is None:
                ended = self._look(job, output, patience, taken)
        finally:
            output.finish(OUTPUT_END_SECONDS if ended is not None else 0.0)
        return ended, output.text

    def _look(self, job: Object, output: BuildOutput, patience: "_Patience", taken: TakenPods) -> Seen | None:
        """Look at the build once, and wait until the next look; return how it ended, if it has."""
        self._records.touch(self._record.name)
        found = self._asked(self._objects.find)
        if found is None or not _is_same(found, job):
            raise BuildError("The build of the image was deleted from the cluster, and not by this agent.")
        pods = [pod for pod in self._asked(self._objects.pods) if _is_of(pod, job)]
        seen = judge_job(found, taken.with_gone(pods))
        is_over = seen.state in TERMINAL_STATES
        output.see(pods, is_over=is_over)
        if is_over:
            return seen
        if seen.is_unexplained and patience.asks_for_reason():
            patience.reason = why_it_waits(self._api, found, pods)
        state = _state_of(pods, seen, patience.reason)
        if patience.is_another(state):
            self._context.progress(f"building the image: {state}")
        self._end_if(patience, output, state)
        self._context.wait(LOOK_SECONDS)
        return None

    def _end_if(self, patience: "_Patience", output: BuildOutput, state: str) -> None:
        settings = self._context.order.kubernetes.builds
        if time.monotonic() > self._deadline:
            raise self._ended(f"took longer than {settings.timeout_seconds:g} s", state, output.text)
        if patience.silence(output.last_at) > settings.no_progress_seconds:
            raise self._ended(f"showed no progress for {settings.no_progress_seconds:g} s", state, output.text)

    def _ended(self, why: str, state: str, text: str) -> BuildError:
        return self._error(f"The build of the image {why}, and was ended: {state}.", text)

    def _failed(self, seen: Seen, text: str) -> BuildError:
        result = seen.result
        code = f"it ended with the exit code {result.code}" if result is not None and result.code else ""
        why = (seen.message or code or "the cluster does not say why").rstrip(".")
        return self._error(f"The image could not be built by {self._kit.tool}: {why}. {in_words(text)}".strip(), text)

    @staticmethod
    def _error(message: str, text: str) -> BuildError:
        hint = f"All that was said is in {BUILD_LOG_FILE} in the job's directory, on the host of the agent."
        return BuildError(message, hint=hint, detail=text)

    # -- its end

    def _remove(self) -> None:
        """Remove what there is of the build; what cannot be removed now, a later build removes."""
        shutil.rmtree(self._context.directory / _TAKEN_DIRECTORY, ignore_errors=True)
        try:
            remove_build(self._record, self._objects, self._context.order)
        except (BuildError, HostError, RunnerUnavailable) as error:
            self._context.warn(f"What is left of the image's build could not be removed: {error.message}", "build")
        else:
            self._records.remove(self._record.name)

    def _asked(self, question: Callable[[], T]) -> T:
        """Return an answer of the cluster or the store; waits for one that gives none, as long as a build may take."""
        while True:
            try:
                return question()
            except RunnerUnavailable as error:
                if time.monotonic() > self._deadline:
                    raise
                self._context.progress(error.message)
                self._context.wait(LOOK_SECONDS)


class _Patience:
    """How long nothing new was seen of a build."""

    def __init__(self) -> None:
        self._state = ""
        self._since = time.monotonic()
        self._asked_at = self._since
        self.reason: str | None = None

    def is_another(self, state: str) -> bool:
        """Note how the build stands; return whether that is another state than before."""
        if state == self._state:
            return False
        self._state, self._since = state, time.monotonic()
        return True

    def asks_for_reason(self) -> bool:
        """Return whether it is time to ask the cluster why a build waits; it is asked now, then."""
        now = time.monotonic()
        if now - self._asked_at < REASON_SECONDS:
            return False
        self._asked_at = now
        return True

    def silence(self, said_at: float) -> float:
        """Return for how many seconds nothing was seen, and nothing said."""
        return time.monotonic() - max(self._since, said_at)


def _is_same(found: Object | None, job: Object) -> bool:
    return found is not None and found["metadata"]["uid"] == job["metadata"]["uid"]


def _is_of(pod: Object, job: Object) -> bool:
    """Return whether a pod is of this Job, and not of one of the same name before it."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == job["metadata"]["uid"] for owner in owners)


def _state_of(pods: list[Object], seen: Seen, reason: str | None) -> str:
    """Return how a build stands, in words: by the container that runs, else by what its pod waits for."""
    for pod in pods:
        status = pod.get("status") or {}
        for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            if "running" in (one.get("state") or {}):
                return f"the container {one['name']} runs"
    why = reason if seen.is_unexplained else None
    return ": ".join(filter(None, (seen.message or "its pod is being created", why)))


def remove_build(record: BuildRecord, objects: BuildObjects, order: WorkOrder) -> None:
    """Remove all that a record names: Job, pods, Secrets, and the files in a store.

    Raises:
        BuildError: the cluster refuses it.
        HostError: the store does.
        RunnerUnavailable: one of them gives no answer.
    """
    objects.remove(record.secrets)
    if record.stored is not None:
        remove_stored(record.stored, order)


def remove_abandoned(records: BuildRecords, order: WorkOrder) -> None:
    """Remove builds that no worker has looked after for a time: theirs died, and no other job has their image."""
    for name in records.abandoned():
        remove_left(records, name, order)


def remove_left(records: BuildRecords, name: str, order: WorkOrder) -> None:
    """Remove what a build has left whose worker died; does nothing where there is nothing, or a worker has it."""
    if records.read(name) is None:
        return
    with records.held(name) as is_free:
        record = records.read(name) if is_free else None
        if record is not None:
            _remove_left(record, records, order)


def _remove_left(record: BuildRecord, records: BuildRecords, order: WorkOrder) -> None:
    api = KubernetesApi(Access(record.config_file, record.context), order.kubernetes.timeout_seconds)
    try:
        remove_build(record, BuildObjects(api, record.namespace, record.name), order)
    except (BuildError, HostError, RunnerUnavailable) as error:
        log.warning(
            "A build that was left in a cluster is not removed yet.",
            extra={"build": record.name, "error": error.message},
        )
    else:
        records.remove(record.name)
    finally:
        api.close()
