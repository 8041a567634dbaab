"""What is made for a build in a pod: gathered from its image's plan, the registry and the settings of this host."""

import os
from collections.abc import Iterable

import msgspec

from ipc.work_order import WorkOrder
from workers.buildah.dockerfile import base_images
from workers.docker.images import parse_image
from workers.images import ImagePlan
from workers.kubernetes.archives import part_names
from workers.kubernetes.secret_objects import complete
from workers.pod_builds.content import Content, Files, Kit, Object, build_labels, secret_prefix
from workers.pod_builds.credentials import registry_secret, settings_secret, trust_secret
from workers.pod_builds.files import stored_place
from workers.pod_builds.records import BuildRecord
from workers.registries import Registry
from workers.registries.names import is_loopback, split

#: W&B's variable: a Secret of the administrator's with credentials, in the form of Docker's configuration.
AUTH_SECRET_VARIABLE = "WANDB_LAUNCH_KANIKO_AUTH_SECRET"  # noqa: S105 (a name)
#: W&B's variable, which its Helm chart sets.
ACCOUNT_VARIABLE = "WANDB_LAUNCH_SERVICE_ACCOUNT_NAME"

_PULL, _PUSH, _SETTINGS, _TRUST = _ENDINGS = ("-pull", "-push", "-settings", "-trust")


class Prepared(msgspec.Struct, frozen=True):
    """A build as it is brought into the cluster: its Secrets, then its Job."""

    secrets: tuple[Object, ...]
    job: Object


def record_of(name: str, namespace: str, order: WorkOrder, kit: Kit) -> BuildRecord:
    """Return the record of all that may be made for the build ``name``; raises :class:`HostError`."""
    place = stored_place(order, name, kit)
    prefix = secret_prefix(name)
    parts = part_names(f"{prefix}-files")[: kit.most_parts] if place is None else ()
    settings = order.kubernetes
    secrets = (*(f"{prefix}{ending}" for ending in _ENDINGS), *parts)
    return BuildRecord(name, namespace, settings.config_file, settings.context, secrets, place)


def prepare(
    record: BuildRecord, files: Files, plan: ImagePlan, order: WorkOrder, registry: Registry, kit: Kit
) -> Prepared:
    """Return what is to be created; raises :class:`HostError` where this host's settings have a fault."""
    prefix = secret_prefix(record.name)
    bases = tuple(base_images(plan.dockerfile.read_text()))
    kind = order.registry.type if order.registry is not None else None
    pushed = (plan.reference,) if kit.pulls_apart else (plan.reference, *bases)
    auth = os.environ.get(AUTH_SECRET_VARIABLE) or None
    made = {
        _PULL: registry_secret(prefix + _PULL, registry, bases) if kit.pulls_apart and not auth else None,
        _PUSH: registry_secret(prefix + _PUSH, registry, pushed, kind) if not auth else None,
        _SETTINGS: settings_secret(prefix + _SETTINGS, plan.secrets),
        _TRUST: trust_secret(prefix + _TRUST, order.registry_access),
    }
    names = {ending: None if secret is None else f"{prefix}{ending}" for ending, secret in made.items()}
    builds, environment = order.kubernetes.builds, order.environment
    labels = build_labels(order, record.name)
    content = Content(
        name=record.name,
        namespace=record.namespace,
        labels=labels,
        reference=plan.reference,
        dockerfile=str(plan.dockerfile.relative_to(plan.context)),
        files=files,
        config=order.builder_config,
        timeout_seconds=max(1, round(builds.timeout_seconds)),
        bases=bases,
        build_args=dict(plan.build_args),
        image_labels=dict(plan.labels),
        insecure=_insecure(order, registry, plan.reference, bases),
        pull_secret=names[_PULL],
        push_secret=names[_PUSH],
        auth_secret=auth,
        settings_secret=names[_SETTINGS],
        settings=tuple(plan.secrets),
        trust_secret=names[_TRUST],
        service_account=builds.service_account or os.environ.get(ACCOUNT_VARIABLE) or None,
        image=builds.image,
        registry=kind,
        region=environment.region if environment is not None else None,
    )
    secrets = [one for one in (*made.values(), *files.secrets) if one is not None]
    return Prepared(tuple(complete(one, labels) for one in secrets), kit.job(content))


def _insecure(order: WorkOrder, registry: Registry, reference: str, bases: Iterable[str]) -> tuple[str, ...]:
    """Return the registries that may speak plain HTTP: this machine's own, and the configured one if it may."""
    own = split(parse_image(reference))[0]
    found = {name for name in (split(parse_image(base))[0] for base in bases) if is_loopback(name)}
    if registry.pushes and (order.registry_access.insecure or is_loopback(own)):
        found.add(own)
    return tuple(sorted(found))
