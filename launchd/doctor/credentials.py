"""Registries and clouds: whether this host has what it needs to use them."""

import os
from collections.abc import Iterator

from ipc.diagnosis import CloudUse, ClusterUse, Hindrance, RegistryUse, Usable
from ipc.targets import CLOUDS, KUBERNETES
from launchd.agent.environments import WORKER_SECONDS, ask_workers, grants, order_of_no_job
from launchd.config.images import push_target
from launchd.doctor.extras import missing_packages
from launchd.doctor.findings import Finding, fail, not_applicable, ok
from launchd.doctor.host import Host

SECONDS = WORKER_SECONDS + 5.0
SILENCE = ("The registry, or a helper with its credentials, does not answer.", "Try `docker login` for it.")
CLUSTER_SILENCE = ("The cluster, or a program with its credentials, does not answer.", "Try `kubectl version`.")


def check_registry(host: Host) -> Iterator[Finding]:
    """Ask the registry of the images for something, with this host's credentials."""
    config = host.config
    target = push_target(config.builder, config.registry, config.environment)
    if target is None:
        yield not_applicable("Images stay on this host: neither builder.destination nor registry is set.")
        return
    match ask_workers(RegistryUse(order_of_no_job(config, target)), host.environ):
        case Usable(sentence):
            yield ok(f"The registry of {sentence}")
        case Hindrance(why, hint):
            yield fail(why, "Jobs whose image has to be built fail.", hint or "Look at docs/registries.md.")
        case _:
            yield not_applicable("The registry was not asked.")


def check_cloud(host: Host) -> Iterator[Finding]:
    """Ask the cloud of the configuration who this host is to it."""
    cloud = host.config.environment
    if cloud is None:
        yield not_applicable("The configuration names no cloud (environment).")
        return
    match ask_workers(CloudUse(cloud, order_of_no_job(host.config, None)), host.environ):
        case Usable(sentence):
            yield ok(sentence)
        case Hindrance(why, hint):
            yield fail(why, f"What needs {cloud.type} fails here.", hint or "Look at the credentials of this host.")
        case _:
            yield not_applicable("The cloud was not asked.")


def check_cluster(host: Host) -> Iterator[Finding]:
    """Ask the Kubernetes cluster whether it grants what jobs need."""
    if not grants(host.config, KUBERNETES):
        yield not_applicable("No queue of this agent may ask for Kubernetes (launchd.policy.resources).")
        return
    match ask_workers(ClusterUse(host.config.launchd.kubernetes), host.environ):
        case Usable(sentence):
            yield ok(sentence)
        case Hindrance(why, hint):
            yield fail(why, "Jobs in the cluster fail.", hint or "Look at the kubeconfig, and at the cluster itself.")
        case _:
            yield not_applicable("The cluster was not asked.")


def check_extras(host: Host) -> Iterator[Finding]:
    """Look whether the packages are installed that targets and clouds of this configuration need."""
    extras, cloud = _extras(host), host.config.environment
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


def _extras(host: Host) -> dict[str, str]:
    """Return the extras of this package that the configuration needs, and of each what needs it."""
    extras = {target.extra: target.name for target in host.targets() if target.extra and target.runner}
    cloud = host.config.environment
    if cloud is not None:
        extras |= {each.extra: each.environment for each in CLOUDS if each.environment == cloud.type and each.extra}
    return extras


def _key_file(path: str) -> Iterator[Finding]:
    if not os.access(path, os.R_OK):
        yield fail(
            f"GOOGLE_APPLICATION_CREDENTIALS names {path}, which cannot be read.",
            "Everything at Google's cloud fails.",
            "Correct the variable, or the rights to the file.",
        )
