"""What is done for a job in a cluster that waits and cannot begin: its Secrets that were deleted are made again.

Owns when that is done, and what is told of it. What a Secret holds comes from where it came from at first: the key from
the agent, the files from the job's directory, the login from the settings of the registry, which is a fresh one then.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.errors import HostError, JobError
from ipc.handles import Handle
from ipc.work_order import WorkOrder
from workers.kubernetes.api import ApiRefusal, KubernetesApi
from workers.kubernetes.archives import CODE_ARCHIVE, parts_of
from workers.kubernetes.belongings import ensure_secret, own_secret
from workers.kubernetes.events import why_it_waits
from workers.kubernetes.handles import owner_of
from workers.kubernetes.job_secrets import code_prefix, key_secret, login_name, names_in, pull_secret
from workers.kubernetes.manifest import Object, containers_of, pod_specs
from workers.kubernetes.names import labels_of
from workers.kubernetes.secret_objects import complete
from workers.kubernetes.status import Seen, cannot_be_pulled, lacks_configuration

#: How long a start without a reason is nothing out of the usual, in seconds.
USUAL_START_SECONDS = 10.0
#: From one remedy to the next, in seconds; then twice as long, and so on up to the longest.
PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 300.0


class Remedies:
    """For one job. ``key`` is the API key that it runs with, None or empty where this worker does not know it."""

    def __init__(self, order: WorkOrder) -> None:
        self.key: str | None = None
        self._order = order
        #: None as long as the job does not wait, or says why.
        self._is_urgent: bool | None = None
        self._next_at = 0.0
        self._pause = PAUSE_SECONDS
        self._reason: str | None = None
        self._restored: list[str] = []

    def seen(self, api: KubernetesApi, handle: Handle, found: Object, pods: Sequence[Object], seen: Seen) -> Seen:
        """Do what can be done for a job whose object is ``found``; returns ``seen``, with why it waits.

        Where the cluster refuses a remedy, or gives no answer, it is tried again later.
        """
        is_urgent = lacks_configuration(pods) or cannot_be_pulled(pods)
        if not (is_urgent or seen.is_unexplained):
            self._is_urgent, self._reason, self._restored = None, None, []
            return seen
        now = time.monotonic()
        if is_urgent is not self._is_urgent:
            self._is_urgent, self._pause = is_urgent, PAUSE_SECONDS
            self._next_at = now if is_urgent else now + USUAL_START_SECONDS
        if now >= self._next_at:
            self._next_at, self._pause = now + self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._reason = why_it_waits(api, found, pods) if seen.is_unexplained else None
            self._restored, names = [], names_in(found, handle.name)
            if self._reason is None or any(name in self._reason for name in names):
                self._restored = list(self._restore_all(api, handle, found, names, renew=cannot_be_pulled(pods)))
        why = ": ".join(filter(None, (seen.message, self._reason)))
        return msgspec.structs.replace(seen, message="; ".join(filter(None, (why, *self._restored))))

    def _restore_all(
        self, api: KubernetesApi, handle: Handle, found: Object, names: Iterable[str], *, renew: bool
    ) -> Iterator[str]:
        """Make Secrets again; yields what was found of them."""
        with suppress(ApiRefusal, JobError):
            for name in sorted(names):
                yield from self._restore(api, handle, name, found, renew=renew)

    def _restore(self, api: KubernetesApi, handle: Handle, name: str, found: Object, *, renew: bool) -> Iterator[str]:
        """Make the Secret ``name`` again where it is gone, and renew the login where images cannot be pulled."""
        namespace, owner = str(handle.data["namespace"]), owner_of(handle)
        is_there = own_secret(api, namespace, name, owner)
        if is_there and not (renew and name == login_name(self._order.name)):
            return
        outcome = "has been made again"
        try:
            secret = complete(self._content(name, found), labels_of(self._order), namespace)
            secret["metadata"]["ownerReferences"] = [owner]
            ensure_secret(api, secret)
        except HostError as error:
            outcome = f"cannot be made again: {error.message.rstrip('.')}"
        if not is_there:
            yield f"its Secret {name} was deleted, and {outcome}"

    def _content(self, name: str, found: Object) -> Object:
        """Return the Secret ``name`` of the job; raises :class:`HostError` where what belongs into it cannot be had."""
        if name == self._order.name:
            if not self.key:
                raise HostError("This worker does not know the job's key.")
            return key_secret(name, self.key)
        if name == login_name(self._order.name):
            return self._login(found)
        archive = Path(self._order.directory, CODE_ARCHIVE)
        try:
            parts = parts_of(archive, code_prefix(self._order.name), CODE_ARCHIVE)
        except OSError as error:
            raise HostError(f"The job's files are not to be had at {archive}: {error.strerror}.") from error
        part = next((one for one in parts if one["metadata"]["name"] == name), None)
        if part is None:
            raise HostError(f"The job's files at {archive} are not those that it was submitted with.")
        return part

    def _login(self, found: Object) -> Object:
        images = (one.get("image") for pod in pod_specs(found) for one in containers_of(pod))
        made = (pull_secret(self._order.name, image, self._order) for image in images if type(image) is str)
        login = next((one for one in made if one is not None), None)
        if login is None:
            raise HostError("This agent has no login to the registry any more.")
        return login
