"""Registries and clouds: whether this host has what it needs to use them."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ipc.diagnosis import Answer, CloudUse, ClusterUse, Hindrance, RegistryUse, Usable
from ipc.extras import how_to_install
from ipc.settings import EnvironmentConfig
from ipc.targets import BUILDERS, CLOUDS, GCP
from launchd.agent.environments import WORKER_SECONDS, ask_workers, clouds, needs_cluster, order_of_no_job
from launchd.config.images import push_target
from launchd.doctor.extras import missing_packages
from launchd.doctor.findings import Finding, fail, not_applicable, ok
from launchd.doctor.host import Host

SECONDS = WORKER_SECONDS + 5.0
SILENCE = ("The registry, or a helper with its credentials, does not answer.", "Try `docker login` for it.")
CLOUD_SILENCE = ("The cloud, or a program with its credentials, does not answer.", "Try the cloud's own command line.")
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
    """Ask the clouds that jobs are going to need who this host is to them."""
    found = list(clouds(host.config))
    if not found:
        yield not_applicable("The configuration names no cloud (environment), and no queue may ask for a job in one.")
        return
    with ThreadPoolExecutor(len(found)) as threads:
        answers = threads.map(partial(_ask_cloud, host), found)
        for cloud, answer in zip(found, answers, strict=True):
            yield _of_cloud(cloud, answer)


def _ask_cloud(host: Host, cloud: EnvironmentConfig) -> Answer:
    return ask_workers(CloudUse(cloud, order_of_no_job(host.config, None)), host.environ)


def _of_cloud(cloud: EnvironmentConfig, answer: Answer) -> Finding:
    match answer:
        case Usable(sentence):
            return ok(sentence)
        case Hindrance(why, hint):
            return fail(why, f"What needs {cloud.type} fails here.", hint or "Look at the credentials of this host.")
        case _:
            return not_applicable("The cloud was not asked.")


def check_cluster(host: Host) -> Iterator[Finding]:
    """Ask the Kubernetes cluster whether it grants what jobs need."""
    if not needs_cluster(host.config):
        yield not_applicable(
            "No queue of this agent may ask for Kubernetes (launchd.policy.resources), or builds there."
        )
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
    extras = _extras(host)
    if not extras:
        yield not_applicable("Nothing in this configuration needs more than the agent itself.")
    for extra, need in sorted(extras.items()):
        missing = missing_packages(extra)
        if missing:
            yield fail(
                f"{need} needs packages that are not installed: {', '.join(missing)}.",
                f"What uses {need} fails here.",
                f"Install that: {how_to_install(extra)}.",
            )
        else:
            yield ok(f"What {need} needs is installed.")
    key_file = host.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if key_file and any(cloud.type == GCP for cloud in clouds(host.config)):
        yield from _key_file(key_file)


def _extras(host: Host) -> dict[str, str]:
    """Return the extras of this package that the configuration needs, and of each what needs it."""
    targets = host.targets()
    extras = {target.extra: target.name for target in targets if target.extra and target.runner}
    builder = BUILDERS.get(host.config.builder.type or "")
    if builder is not None and builder.extra and any(builder.name in target.builders for target in targets):
        extras.setdefault(builder.extra, builder.name)
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
