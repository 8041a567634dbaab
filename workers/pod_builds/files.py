"""The files of a build on their way into a pod: as an archive in a store, in a claim, or in Secrets.

Owns where they are put, and that they are taken away again.
"""

import os
import shutil
from pathlib import Path

from ipc.errors import HostError
from ipc.settings import PodBuildsConfig
from ipc.targets import AWS, AZURE, GCP
from ipc.work_order import WorkOrder
from workers.environments import load_environment
from workers.kubernetes.archives import PART_BYTES, parts_of, volume_of
from workers.pod_builds.content import CONTEXT_PLACE, Files, Kit, secret_prefix

#: W&B's variables.
CLAIM_VARIABLE = "WANDB_LAUNCH_KANIKO_PVC_NAME"
DIRECTORY_VARIABLE = "WANDB_LAUNCH_KANIKO_PVC_MOUNT_PATH"
_USUAL_DIRECTORY = "/kaniko"

_CLOUDS = {"s3": AWS, "gs": GCP, "https": AZURE}


def find_claim(builds: PodBuildsConfig) -> tuple[str, Path] | None:
    """Return the claim by which files reach a build, and where this host has it; None for none."""
    claim = builds.claim or os.environ.get(CLAIM_VARIABLE)
    if not claim:
        return None
    return claim, Path(builds.claim_directory or os.environ.get(DIRECTORY_VARIABLE) or _USUAL_DIRECTORY)


def stored_place(order: WorkOrder, name: str, kit: Kit) -> str | None:
    """Return where the archive of the build ``name`` is put beside the cluster, None where Secrets have it.

    Raises:
        HostError: the configuration names a store that the tool cannot fetch from.
    """
    claim = find_claim(order.kubernetes.builds)
    if claim is not None:
        return str(claim[1] / f"{name}.tgz")
    store = order.builder_config.build_context_store
    if store and not kit.takes_stores:
        raise HostError(
            f"{kit.tool} in a pod fetches no files from {store}.",
            hint="The administrator leaves builder.build-context-store out, or names a claim for larger projects in"
            " launchd.kubernetes.builds.claim.",
        )
    return f"{store}/{name}.tgz" if store else None


def hand_over(archive: Path, name: str, order: WorkOrder, kit: Kit) -> Files:
    """Put the archive where the build ``name`` gets it from.

    Raises:
        HostError: it cannot be put there.
        RunnerUnavailable: the store gives no answer.
    """
    place = stored_place(order, name, kit)
    claim = find_claim(order.kubernetes.builds)
    if place is None:
        return _in_secrets(archive, name, kit)
    if claim is not None:
        _copy(archive, Path(place))
        volume = {"persistentVolumeClaim": {"claimName": claim[0]}}
        return Files(f"tar://{CONTEXT_PLACE}/{name}.tgz", f"{name}.tgz", volume, stored=place)
    load_environment(order, _cloud_of(place)).upload(archive, place)
    return Files(place, f"{name}.tgz", stored=place)


def _in_secrets(archive: Path, name: str, kit: Kit) -> Files:
    size = archive.stat().st_size
    most = kit.most_parts * PART_BYTES
    if size > most:
        raise HostError(
            f"The files of the image, {size / 1e6:.1f} MB when packed, are too many to reach a pod by Secrets, which"
            f" take {most / 1e6:.1f} MB for {kit.tool}.",
            hint="The administrator sets launchd.kubernetes.builds.claim"
            f"{' or builder.build-context-store' if kit.takes_stores else ''}; large data do not belong into an image.",
        )
    file = f"{name}.tgz"
    parts = parts_of(archive, f"{secret_prefix(name)}-files", file)
    return Files(f"tar://{CONTEXT_PLACE}/{file}", file, volume_of(parts), parts)


def _copy(archive: Path, place: Path) -> None:
    new = place.with_name(f".{place.name}.new")
    try:
        shutil.copyfile(archive, new)
        new.replace(place)
    except OSError as error:
        raise HostError(
            f"The files of the image could not be put into {place.parent}: {error.strerror}.",
            hint="The administrator mounts the claim there, see launchd.kubernetes.builds.claim_directory.",
        ) from error


def remove_stored(place: str, order: WorkOrder) -> None:
    """Remove what was put at ``place``; what is gone is no problem.

    Raises:
        HostError: it cannot be removed.
        RunnerUnavailable: the store gives no answer.
    """
    if "://" in place:
        load_environment(order, _cloud_of(place)).remove(place)
        return
    try:
        Path(place).unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"{place} could not be removed: {error.strerror}.") from error


def _cloud_of(place: str) -> str:
    return _CLOUDS[place.partition(":")[0]]
