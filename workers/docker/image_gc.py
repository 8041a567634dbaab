"""Removes images that jobs no longer need, and what builds have left, while the engine's disk is too full.

An image goes when it was brought here for jobs (``image_records`` says so), no container has it, no job holds it or is
going to need it, it has no name but those it was brought under, and it was not used for a time; the one that was used
least recently goes first.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from ipc.engine_upkeep import Cleaned, CleanImages, RemovedImage
from ipc.errors import InvalidSpec
from workers.docker import image_records
from workers.docker.engine import Engine, EngineError, Image
from workers.docker.engine_disk import used_percent
from workers.docker.image_records import UsedImage
from workers.docker.images import parse_image


def clean(engine: Engine, task: CleanImages) -> Cleaned:
    """Do the task, and say what was removed, or would be.

    Raises:
        RunnerUnavailable: the engine does not answer.
        EngineError: it refuses to say what it has.
    """
    disk = engine.data_directory()
    used = used_percent(engine, disk)
    if used is None or used < task.settings.above_percent:
        return Cleaned(used_percent=used)
    cache = 0 if task.dry_run else _prune_cache(engine, task.settings.keep_seconds)
    removed, problems = _remove_images(engine, disk, task)
    return Cleaned(tuple(removed), cache, used_percent(engine, disk), tuple(problems))


def _prune_cache(engine: Engine, unused_seconds: float) -> int:
    # Podman has no build cache of its own, and refuses.
    with suppress(EngineError):
        return engine.prune_build_cache(unused_seconds)
    return 0


def _remove_images(engine: Engine, disk: str, task: CleanImages) -> tuple[list[RemovedImage], list[str]]:
    removed: list[RemovedImage] = []
    problems: list[str] = []
    for used in _old_enough(task):
        percent = used_percent(engine, disk)
        if percent is None or percent <= task.settings.below_percent:
            break
        with image_records.unused(used) as is_unused:
            if is_unused:
                removed += _remove_image(engine, used, task, problems)
    return removed, problems


def _old_enough(task: CleanImages) -> Iterator[UsedImage]:
    spared = set(filter(None, map(_full_name, task.spared)))
    for used in image_records.used_images(task.state_dir):
        age = time.time() - used.used_at
        if age >= task.settings.keep_seconds and used.record.reference not in spared:
            yield used


def _remove_image(engine: Engine, used: UsedImage, task: CleanImages, problems: list[str]) -> list[RemovedImage]:
    """Remove the images that were brought under a name, as far as nothing else needs them."""
    # Listed for each name: containers come and go, and its lock is held only now.
    present = [image for image in engine.images() if image.id in used.record.ids]
    removed = []
    for image, names in _unneeded(engine, used.record.reference, present, task):
        try:
            for name in () if task.dry_run else names:
                engine.remove_image(name)
        except EngineError as error:
            problems.append(f"The image {used.record.reference} could not be removed: {error.explanation}.")
        else:
            removed.append(RemovedImage(used.record.reference, image.size))
    if not task.dry_run and len(removed) == len(present):
        image_records.forget(used)
    return removed


def _unneeded(
    engine: Engine, reference: str, present: Sequence[Image], task: CleanImages
) -> Iterator[tuple[Image, Sequence[str]]]:
    """Yield the images that no container has and no other name keeps, each with what to remove of it."""
    if not present:
        return
    in_use = {one.image_id for one in engine.containers()}
    own = {one.record.reference for one in image_records.used_images(task.state_dir)}
    for image in present:
        names = () if image.id in in_use else _removable_names(image, reference, own)
        if names:
            yield image, names


def _removable_names(image: Image, reference: str, own: Collection[str]) -> Sequence[str]:
    """Return what to remove so that ``reference`` goes; nothing where the image has a name that is not the agent's."""
    tags = [tag for tag in image.repo_tags or () if not tag.startswith("<none>")]
    if not tags:
        return (image.id,)
    # Its other names have records of their own, which a worker may hold.
    return [tag for tag in tags if _full_name(tag) == reference] if all(_full_name(tag) in own for tag in tags) else ()


def _full_name(name: str) -> str | None:
    try:
        return str(parse_image(name))
    except InvalidSpec:
        return None
