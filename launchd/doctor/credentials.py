"""Registries and clouds: whether this host has what it needs to use them."""

import os
from collections.abc import Iterator

from ipc.diagnosis import Hindrance, RegistryUse, Useable
from ipc.run_spec import RunSpec
from ipc.settings import RegistryConfig
from ipc.targets import CLOUDS, LOCAL_CONTAINER
from ipc.work_order import WorkOrder
from launchd.config import AgentConfig
from launchd.config.images import push_target
from launchd.doctor.asking import WORKER_SECONDS, ask_workers
from launchd.doctor.extras import missing_packages
from launchd.doctor.findings import Finding, fail, not_applicable, ok
from launchd.doctor.host import Host

SECONDS = WORKER_SECONDS + 5.0
SILENCE = ("The registry, or a helper with its credentials, does not answer.", "Try `docker login` for it.")


def check_registry(host: Host) -> Iterator[Finding]:
    """Ask the registry of the images for something, with this host's credentials."""
    config = host.config
    target = push_target(config.builder, config.registry, config.environment)
    if target is None:
        yield not_applicable("Images stay on this host: neither builder.destination nor registry is set.")
        return
    match ask_workers(RegistryUse(_order(config, target)), host.environ):
        case Useable(sentence):
            yield ok(f"The registry of {sentence}")
        case Hindrance(why, hint):
            yield fail(why, "Jobs whose image has to be built fail.", hint or "Look at docs/registries.md.")
        case _:
            yield not_applicable("The registry was not asked.")


def _order(config: AgentConfig, target: RegistryConfig) -> WorkOrder:
    """Return the work order of no job, for what is read of one by a registry."""
    entity = config.entity or "launchd"
    return WorkOrder(
        name="doctor",
        item_id="",
        queue="",
        entity=entity,
        attempt=1,
        base_url="",
        spec=RunSpec(entity, "doctor", "doctor", LOCAL_CONTAINER),
        directory="",
        registry=target,
        registry_access=config.launchd.registry,
        builder_config=config.builder,
    )


def check_extras(host: Host) -> Iterator[Finding]:
    """Look whether the packages are installed that targets and clouds of this configuration need."""
    extras = {target.extra: target.name for target in host.targets() if target.extra and target.runner}
    cloud = host.config.environment
    if cloud is not None:
        extras |= {each.extra: each.environment for each in CLOUDS if each.environment == cloud.type and each.extra}
    if not extras:
        yield not_applicable("Nothing in this configuration needs more than the agent itself.")
    for extra, need in sorted(extras.items()):
        missing = missing_packages(extra)
        if missing:
            yield fail(
                f"{need} needs packages that are not installed: {', '.join(missing)}.",
                f"What uses {need} fails here.",
                f"Install launchd-agent[{extra}] with the agent's Python.",
            )
        else:
            yield ok(f"What {need} needs is installed.")
    if cloud is not None and cloud.type == "gcp" and host.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        yield from _key_file(host.environ["GOOGLE_APPLICATION_CREDENTIALS"])


def _key_file(path: str) -> Iterator[Finding]:
    if not os.access(path, os.R_OK):
        yield fail(
            f"GOOGLE_APPLICATION_CREDENTIALS names {path}, which cannot be read.",
            "Everything at Google's cloud fails.",
            "Correct the variable, or the rights to the file.",
        )
