"""What a job has in a cluster beside its object: its Secrets, its files that no image has, objects such as a database.

They are brought before the object, given to it once it is there, and go with it; those of a job that the cluster did
not take are removed. Decides nothing about the object itself.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

from ipc.errors import HostError, RunnerUnavailable
from ipc.work_order import WorkOrder
from workers.kubernetes.api import CONFLICT, NOT_FOUND, ApiRefusal, KubernetesApi
from workers.kubernetes.archives import CODE_ARCHIVE, part_names, parts_of, volume_of
from workers.kubernetes.code_claim import CodeClaim, find_code_claim
from workers.kubernetes.handles import secrets_path
from workers.kubernetes.job_secrets import code_prefix, login_name, names_in
from workers.kubernetes.manifest import Code, Content, Object
from workers.kubernetes.names import NAME_LABEL
from workers.kubernetes.refusals import asked
from workers.kubernetes.services import (
    create_services,
    own_services,
    read_patience,
    remove_services,
    service_objects,
    wait_until_ready,
)
from workers.macros import filled, macros_of
from workers.runners import LaunchRequest

_SECRET_FIELDS = ("data", "stringData")


class Belongings:
    """The belongings of the job of ``order``."""

    def __init__(self, order: WorkOrder) -> None:
        self._order = order

    def code(self, launch: LaunchRequest) -> tuple[Code | None, tuple[Object, ...]]:
        """Return the job's files as its pod gets them, and the Secrets that have them; nothing where an image does.

        Raises:
            HostError: they could not be put into the claim.
        """
        if launch.build.code is None:
            return None, ()
        archive, image = Path(launch.build.code), launch.build.image or ""
        claim = self._claim()
        if claim is not None:
            claim.put(archive, launch.name, CODE_ARCHIVE)
            return Code(claim.volume, image, launch.place, launch.name), ()
        parts = parts_of(archive, code_prefix(launch.name), CODE_ARCHIVE)
        return Code(volume_of(parts), image, launch.place), parts

    def restore_code(self) -> None:
        """Put the job's files into the claim again, where others removed them before its pod was there."""
        archive, name = Path(self._order.directory, CODE_ARCHIVE), self._order.name
        with suppress(HostError):
            claim = self._claim()
            if claim is not None and archive.is_file() and not claim.has(name, CODE_ARCHIVE):
                claim.put(archive, name, CODE_ARCHIVE)

    def service_manifests(self, image: str) -> list[Object]:
        """Return the manifests of the objects beside the job, as its run spec has them, with macros filled."""
        given = [deepcopy(one) for one in self._order.spec.additional_services]
        macros = macros_of(self._order.spec, image, self._order.policy.kubernetes.host_variables, os.environ)
        return [filled(one, macros) for one in given]

    def services(self, content: Content, image: str) -> list[Object]:
        """Return the objects beside the job, as they are created; raises :class:`InvalidSpec`."""
        return service_objects(self.service_manifests(image), self._order.spec, content)

    # -- in the cluster

    def bring(
        self, api: KubernetesApi, secrets: list[Object], services: list[Object], pause: Callable[[float], None]
    ) -> None:
        """Create all that is there before the object, and wait until it is ready.

        Raises:
            ApiRefusal: the cluster refuses one.
            InvalidSpec: the cluster has no such kind.
            JobCancelled: the job was stopped meanwhile.
            RunnerUnavailable: the cluster gives no answer.
            SubmitError: an object of the name is another job's, or is not ready in time.
        """
        for secret in secrets:
            ensure_secret(api, secret)
        create_services(api, services, self._order.name)
        seconds = read_patience(self._order)
        if seconds:
            wait_until_ready(api, services, seconds, pause)

    def discard(self, api: KubernetesApi, secrets: list[Object], services: list[Object]) -> None:
        """Remove what was brought for a job that is not to be; raises :class:`RunnerUnavailable`."""
        self.remove_code()
        with suppress(ApiRefusal):
            remove_services(api, services, self._order.name)
        for secret in secrets:
            with suppress(ApiRefusal):
                api.delete(secrets_path(secret["metadata"]["namespace"], secret["metadata"]["name"]))

    @staticmethod
    def own(api: KubernetesApi, owner: Object, created: Object, services: list[Object]) -> None:
        """Have all go with the object; without it, most goes when the job has ended."""
        metadata = created["metadata"]
        for name in names_in(created, metadata["labels"][NAME_LABEL]):
            with suppress(ApiRefusal, RunnerUnavailable):
                own_secret(api, metadata["namespace"], name, owner)
        own_services(api, services, owner)

    def remove_ended(self, api: KubernetesApi, namespace: str) -> None:
        """Remove what a job that has ended may not leave with an object that stays; raises as :func:`asked`."""
        self.remove_code()
        asked(lambda: api.delete(secrets_path(namespace, self._order.name)))
        self._remove_services(api, namespace)

    def remove_all(self, api: KubernetesApi, namespace: str) -> None:
        """Remove what was made for a job that has no object, its files in their order; raises as :func:`asked`."""
        name = self._order.name
        self._remove_services(api, namespace)
        self.remove_code()
        for secret in (name, login_name(name)):
            asked(lambda one=secret: api.delete(secrets_path(namespace, one)))  # type: ignore[misc]
        for part in part_names(code_prefix(name)):
            if not asked(lambda one=part: api.delete(secrets_path(namespace, one))):  # type: ignore[misc]
                return

    def remove_code(self) -> None:
        """Remove the job's files from the claim, where they are in one."""
        with suppress(HostError):
            claim = self._claim()
            if claim is not None:
                claim.remove(self._order.name)

    def _remove_services(self, api: KubernetesApi, namespace: str) -> None:
        plain = Content(self._order.name, "", namespace, {}, environment={})
        services = self.services(plain, self._order.spec.docker_image or "")
        asked(lambda: remove_services(api, services, self._order.name))

    def _claim(self) -> CodeClaim | None:
        return find_code_claim(self._order.kubernetes)


def ensure_secret(api: KubernetesApi, secret: Object) -> None:
    """See to it that a Secret is there, and says this; raises as :meth:`KubernetesApi.request`."""
    namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
    try:
        api.create(secrets_path(namespace), secret)
    except ApiRefusal as refusal:
        if refusal.status != CONFLICT:
            raise
        api.patch(secrets_path(namespace, name), {key: secret[key] for key in _SECRET_FIELDS if key in secret})


def own_secret(api: KubernetesApi, namespace: str, name: str, owner: Object) -> bool:
    """Have a Secret go with ``owner``; returns whether there is one; raises as :meth:`KubernetesApi.request`."""
    try:
        api.patch(secrets_path(namespace, name), {"metadata": {"ownerReferences": [owner]}})
    except ApiRefusal as refusal:
        if refusal.status != NOT_FOUND:
            raise
        return False
    return True
