"""Runs a job in a Kubernetes cluster: as a Job, or as a custom resource whose controller runs it.

What is created has the workload name as a label and in its own name; what else a job needs there, such as the
Secret with its key, belongs to it and goes with it. How the job stands is read from the cluster, so any worker can take
it over at any time.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from ipc.errors import InvalidSpec, JobCancelled, PolicyRefused, SourceError, SubmitError
from ipc.handles import ExitResult, Handle
from ipc.settings import KubernetesConfig
from ipc.states import TERMINAL_STATES, JobState
from ipc.work_order import WorkOrder
from workers.builders import Build
from workers.context import JobContext
from workers.kubernetes import policy, records
from workers.kubernetes.access import Access
from workers.kubernetes.api import CONFLICT, ApiRefusal, KubernetesApi
from workers.kubernetes.archives import MOST_PARTS, PART_BYTES
from workers.kubernetes.arguments import KUBERNETES, Arguments, read_arguments
from workers.kubernetes.belongings import Belongings
from workers.kubernetes.code_claim import find_code_claim
from workers.kubernetes.discovery import JOBS, Kind, find_kind
from workers.kubernetes.handles import (
    access_of,
    handle_of,
    is_job,
    kind_of,
    owner_of,
    path_of,
    pods_path,
)
from workers.kubernetes.ignored import ignored_keys
from workers.kubernetes.job_secrets import key_secret, pull_secret
from workers.kubernetes.manifest import KEY_VARIABLE, Content, workload_object
from workers.kubernetes.names import AGENT_LABEL, NAME_LABEL, labels_of, selector
from workers.kubernetes.output import JobOutput
from workers.kubernetes.records import EndRecord, StopRecord
from workers.kubernetes.refusals import asked, refused
from workers.kubernetes.rehearsal import SPEC, RehearsedApi
from workers.kubernetes.remedies import Remedies
from workers.kubernetes.scope import Scope, scope_text
from workers.kubernetes.secret_objects import complete
from workers.kubernetes.services import read_patience
from workers.kubernetes.status import Seen, judge_custom, judge_job, pods_are_over
from workers.kubernetes.taken import TakenPods
from workers.output import OutputWriter
from workers.rehearsal import rehearse
from workers.runners import Capabilities, LaunchRequest, Runner, Status

Object = dict[str, Any]
MakeApi = Callable[[Access, float], KubernetesApi]

#: Deletes an object once all that belongs to it is gone: as long as it is there, something may run.
FOREGROUND = "Foreground"
BACKGROUND = "Background"
#: How often a job is looked at of which nothing was told, in seconds. A look takes two requests.
LOOK_SECONDS = 75.0
#: From the end of all pods to the next look for what their controller says, in seconds; then twice as long, and so on.
END_SECONDS = 0.5
#: Likewise, while a job has not started.
START_SECONDS = 2.0
#: Stands for an image that is not built yet.
_IMAGE_TO_COME = "image-to-be-built"
TTL_KEY = "ttlSecondsAfterFinished"


class KubernetesRunner(Runner):
    """The resource ``kubernetes``. Its arguments are a manifest; see ``workers.kubernetes.manifest``."""

    capabilities = Capabilities(poll_seconds=LOOK_SECONDS, keeps_output=True, runs_images=True)

    def __init__(self, order: WorkOrder, make_api: MakeApi = KubernetesApi) -> None:
        super().__init__(order)
        self._make_api = make_api
        self._directory = Path(order.directory)
        self._apis: dict[Access, KubernetesApi] = {}
        self._output = JobOutput(self._directory)
        self._taken = TakenPods(self._directory)
        self._belongings = Belongings(order)
        self._remedies = Remedies(order)
        self._stop: StopRecord | None = None
        self._has_run = False
        self._pause: Callable[[float], None] = time.sleep
        self._warn: Callable[[str, str], None] = lambda _message, _stage: None
        self._end_pause = END_SECONDS
        self._start_pause = START_SECONDS

    @classmethod
    def preload(cls) -> None:
        """Do for all workers what makes pages of memory a worker's own."""
        rehearse(SPEC, cls._rehearsed)

    @classmethod
    @contextmanager
    def _rehearsed(cls, order: WorkOrder, context: JobContext) -> Iterator[Runner]:
        with closing(RehearsedApi(Path(order.directory), context.note_change)) as api:
            kubernetes = KubernetesConfig(config_file=api.config_file, namespace="default")
            yield cls(msgspec.structs.replace(order, kubernetes=kubernetes), lambda _access, _seconds: api)

    def validate(self) -> None:
        """Raise :class:`InvalidSpec`, :class:`PolicyRefused` or :class:`HostError` where the job cannot be run here."""
        image = self._order.spec.docker_image
        if image:
            self._require_image(image)
        arguments = self._arguments(image or "")
        rules = self._order.policy.kubernetes
        # First of all: a kubeconfig can name programs that are run.
        _refuse(policy.access_refusals(arguments, rules))
        self._api(arguments.access(self._order.kubernetes)).connect()
        _refuse(policy.refusals(arguments, self._namespace(arguments), rules))
        services = self._belongings.service_manifests(image or "")
        _refuse(policy.service_refusals(services, rules))
        claim = find_code_claim(self._order.kubernetes)
        if claim is not None:
            _refuse(policy.claim_refusals([arguments.manifest, *services], claim.name))
        read_patience(self._order)
        # What has a wrong form is told before anything is fetched or built. A project may turn out to be an image.
        form = Content(self._order.name, "", "", {}, environment={}, image=image or _IMAGE_TO_COME, image_is_given=True)
        workload_object(arguments, form)
        self._belongings.services(form, image or "")

    def _require_image(self, image: str) -> None:
        refusal = policy.refuse_image(image, self._order.policy.kubernetes)
        if refusal is not None:
            raise PolicyRefused(refusal)

    def _arguments(self, image: str) -> Arguments:
        return read_arguments(self._order.spec, image, self._order.policy.kubernetes)

    def _namespace(self, arguments: Arguments) -> str:
        own = arguments.namespace or self._order.kubernetes.namespace
        return own or self._api(arguments.access(self._order.kubernetes)).usual_namespace()

    def fetch_image(self, image: str, context: JobContext) -> None:
        """Check that the image is granted."""
        self._pause, self._warn = context.wait, context.warn
        self._warn_of_ignored(context)
        self._require_image(image)

    def fetch_built(self, build: Build, context: JobContext) -> None:
        """Check that the nodes of a cluster can have what was built."""
        self._pause, self._warn = context.wait, context.warn
        self._warn_of_ignored(context)
        if build.code is not None:
            self._require_room(Path(build.code))
            self._require_image(build.image or "")
            return
        if build.archive is not None or self._order.registry is None:
            raise SourceError(
                f"The image {build.image} was built on this host, and is in no registry that a cluster can reach.",
                hint="Have the administrator set builder.destination.",
            )

    def _warn_of_ignored(self, context: JobContext) -> None:
        ignored = ", ".join(sorted(set(ignored_keys(self._arguments("")))))
        if ignored:
            context.warn(f"These keys of resource_args.kubernetes have no effect: {ignored}.", "agent")

    def _require_room(self, code: Path) -> None:
        size, most = code.stat().st_size, MOST_PARTS * PART_BYTES
        if size > most and find_code_claim(self._order.kubernetes) is None:
            raise SourceError(
                f"The job's files, {size / 1e6:.1f} MB when packed, are too many to reach a pod in no image, which"
                f" {most / 1e6:.1f} MB may.",
                hint="Have the administrator choose a builder, such as buildah-pod, or set"
                " launchd.kubernetes.code_claim; and leave large data out of them.",
            )
        arguments = self._arguments("")
        if not arguments.is_job:
            raise InvalidSpec(
                "The job is source code without an image of it, which a custom resource cannot be given.",
                hint="Launch a container image, or have the administrator choose a builder.",
            )

    # -- the object

    def submit(self, launch: LaunchRequest) -> Handle:
        """Create the object; what exists under the name is taken for it."""
        ended = records.read_end(self._directory)
        if ended is not None:
            return ended.handle
        arguments = self._arguments(launch.build.image or "")
        access, namespace = arguments.access(self._order.kubernetes), self._namespace(arguments)
        api = self._api(access)
        pull = pull_secret(launch.name, launch.build.image, self._order)
        content = self._content(launch, namespace, pull)
        services = self._belongings.services(content, launch.build.image or "")
        code, parts = self._belongings.code(launch)
        content = msgspec.structs.replace(content, code=code)
        key = self._remedies.key = launch.environment.get(KEY_VARIABLE)
        keys = (None if key is None else key_secret(launch.name, key), pull, *parts)
        secrets = [complete(one, content.labels, namespace) for one in keys if one is not None]
        try:
            body = workload_object(arguments, content)
            kind = self._kind(api, arguments)
            self._belongings.bring(api, secrets, services, self._pause)
            created = self._create(api, kind, body, content)
        except ApiRefusal as refusal:
            self._belongings.discard(api, secrets, services)
            raise refused(refusal) from refusal
        except (JobCancelled, SubmitError, InvalidSpec):
            self._belongings.discard(api, secrets, services)
            raise
        # Newer clusters name each field that they do not know.
        for remark in api.take_remarks():
            self._warn(f"Kubernetes took the job, and remarked: {remark}.", "agent")
        handle = handle_of(launch.name, access, kind, created)
        self._belongings.own(api, owner_of(handle), created, services)
        return handle

    def _content(self, launch: LaunchRequest, namespace: str, pull: Object | None) -> Content:
        order = self._order
        environment = dict(launch.environment)
        return Content(
            workload=launch.name,
            stem=f"launch-{order.spec.entity}-{order.spec.project}",
            namespace=namespace,
            labels=labels_of(order),
            environment=environment,
            image=launch.build.image,
            image_is_given="WANDB_DOCKER" in environment,
            entry_point=launch.entry_point,
            entry_point_is_given=bool(order.spec.overrides.entry_point),
            args=launch.args,
            own_security="securityContext" in order.policy.kubernetes.fields,
            pull_secret=None if pull is None else str(pull["metadata"]["name"]),
        )

    @staticmethod
    def _kind(api: KubernetesApi, arguments: Arguments) -> Kind:
        return JOBS if arguments.is_job else find_kind(api, arguments.manifest)

    @staticmethod
    def _create(api: KubernetesApi, kind: Kind, body: Object, content: Content) -> Object:
        name = body["metadata"]["name"]
        try:
            return api.create(kind.path(content.namespace), body)
        except ApiRefusal as refusal:
            existing = api.find(kind.path(content.namespace, name)) if refusal.status == CONFLICT else None
            if existing is None:
                raise
            if existing["metadata"].get("labels", {}).get(NAME_LABEL) != content.workload:
                raise SubmitError(f"The cluster has a {kind.kind} {name} already, and it is not this job's.") from None
            return existing

    def take_over(self, api_key: str) -> None:
        """Note the key: where its Secret is deleted before the job has begun, it is needed again."""
        self._remedies.key = api_key

    def find(self, name: str) -> Handle | None:
        """Return the handle of the job's object; without one, what was made for it is removed."""
        ended = records.read_end(self._directory)
        if ended is not None:
            return ended.handle
        arguments = self._arguments("")
        access, namespace = arguments.access(self._order.kubernetes), self._namespace(arguments)
        api = self._api(access)
        kind = asked(lambda: self._kind(api, arguments))
        if kind is None:
            return None
        found = asked(lambda: api.get(kind.path(namespace), labelSelector=selector(name)))
        items = (found or {}).get("items") or ()
        if not items:
            self._belongings.remove_all(api, namespace)
            return None
        handle = handle_of(name, access, kind, items[0])
        self._belongings.own(api, owner_of(handle), items[0], [])
        return handle

    # -- how it stands

    def inspect(self, handle: Handle) -> Status:
        """Return how the job stands; how it ended is on disk from then on."""
        ended = records.read_end(self._directory)
        api = self._api_of(handle)
        if ended is not None:
            # A worker that takes over an ended job has its output to bring.
            self._output.see(self._pods(api, handle), is_over=True)
            return _status(ended)
        found = asked(lambda: api.find(path_of(handle)))
        if found is None or found["metadata"]["uid"] != handle.data["uid"]:
            self._output.see([], is_over=True)
            return self._end(handle, self._gone())
        pods = self._pods(api, handle)
        known = self._taken.with_gone(pods)
        seen = (judge_job if is_job(handle) else judge_custom)(found, known)
        is_over = seen.state in TERMINAL_STATES
        self._output.see(pods, is_over=is_over)
        if self._stop_record() is not None:
            return Status(JobState.STOPPING, message=seen.message)
        if is_over:
            return self._end(handle, seen)
        if seen.state is JobState.STARTING:
            self._belongings.restore_code()
        return self._going_on(self._remedies.seen(api, handle, found, pods, seen), known)

    def _look_again_seconds(self, state: JobState, pods: Sequence[Mapping[str, Any]]) -> float | None:
        """Return when to look again, watched or not, where something is about to happen: a start, or an end.

        The end of all pods is, for what judges it. The longer it takes, the less often is looked.
        """
        if pods_are_over(pods):
            seconds, self._end_pause = self._end_pause, self._end_pause * 2
        elif state is JobState.STARTING:
            seconds, self._start_pause = self._start_pause, self._start_pause * 2
        else:
            return None
        return seconds

    def watch_scope(self, handle: Handle) -> str | None:
        """Return the namespace and the kind of the job's object, with what an agent marks its own with."""
        agent = labels_of(self._order)[AGENT_LABEL]
        return scope_text(Scope(access_of(handle), str(handle.data["namespace"]), kind_of(handle), agent))

    def _pods(self, api: KubernetesApi, handle: Handle) -> list[Object]:
        path, query = pods_path(handle), selector(handle.name)
        return list((asked(lambda: api.get(path, labelSelector=query)) or {}).get("items") or ())

    def _going_on(self, seen: Seen, pods: Sequence[Mapping[str, Any]]) -> Status:
        """Return how a living job stands; one that has run does not start a second time."""
        if not self._has_run:
            self._has_run = seen.state is JobState.RUNNING or records.has_run(self._directory)
            if self._has_run:
                records.note_run(self._directory)
        state = JobState.RUNNING if self._has_run else seen.state
        return Status(state, message=seen.message, look_again_seconds=self._look_again_seconds(state, pods))

    def _gone(self) -> Seen:
        if self._stop_record() is not None:
            return Seen(JobState.STOPPED, ExitResult(message="The job was stopped."))
        message = "The job was deleted from the cluster by someone else; its exit status is lost."
        return Seen(JobState.FAILED, ExitResult(message=message), message)

    def _end(self, handle: Handle, seen: Seen) -> Status:
        record = EndRecord(handle, seen.state, seen.result or ExitResult(message=seen.message))
        # On a full disk it is asked for again.
        with suppress(OSError):
            records.write_end(self._directory, record)
        return _status(record)

    # -- the end

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Delete the object, and give its pods ``grace_seconds`` in place of their own time; what has ended stays."""
        if records.read_end(self._directory) is not None:
            return
        api = self._api_of(handle)
        found = asked(lambda: api.find(path_of(handle)))
        if found is None or (is_job(handle) and judge_job(found, ()).state in TERMINAL_STATES):
            return
        self._note_stop(StopRecord(grace_seconds))
        same = {"preconditions": {"uid": handle.data["uid"]}, "propagationPolicy": FOREGROUND}
        asked(lambda: api.delete(path_of(handle), same))
        asked(
            lambda: api.delete(
                pods_path(handle),
                {"gracePeriodSeconds": max(0, round(grace_seconds))},
                labelSelector=selector(handle.name),
            )
        )

    def _note_stop(self, stop: StopRecord) -> None:
        self._stop = stop
        with suppress(OSError):
            records.write_stop(self._directory, stop)

    def _stop_record(self) -> StopRecord | None:
        self._stop = self._stop or records.read_stop(self._directory)
        return self._stop

    def follow_output(self, handle: Handle, writer: OutputWriter) -> None:
        """Copy the logs of all pods, as far as :meth:`inspect` has seen them."""
        self._output.follow(self._api_of(handle), pods_path(handle), writer)

    def delete(self, handle: Handle) -> None:
        """Remove the object with its pods and the Secret, once it is on disk how the job ended.

        A Job whose manifest says how long it is to stay is left to the cluster.
        """
        api = self._api_of(handle)
        if records.read_end(self._directory) is None:
            self.inspect(handle)
        self._belongings.remove_ended(api, str(handle.data["namespace"]))
        spec = self._order.spec.resource_args.get(KUBERNETES) or {}
        if is_job(handle) and TTL_KEY in (spec.get("spec") or {}):
            return
        same = {"preconditions": {"uid": handle.data["uid"]}, "propagationPolicy": BACKGROUND}
        asked(lambda: api.delete(path_of(handle), same))

    # -- questions

    def _api(self, access: Access) -> KubernetesApi:
        if access not in self._apis:
            self._apis[access] = self._make_api(access, self._order.kubernetes.timeout_seconds)
        return self._apis[access]

    def _api_of(self, handle: Handle) -> KubernetesApi:
        return self._api(access_of(handle))


def _refuse(sentences: list[str]) -> None:
    if sentences:
        raise PolicyRefused(" ".join(sentences))


def _status(record: EndRecord) -> Status:
    return Status(record.state, record.result, record.result.message)
