"""What an agent says of its GPUs to a queue server: how many there are of each kind, and how many are free. Pure."""

from collections.abc import Collection, Sequence

from ipc.gpus import Gpu, GpuKind, GpuSummary


def summarize(gpus: Sequence[Gpu], free: Collection[str], usable: Collection[str]) -> GpuSummary:
    """Return the summary of ``gpus``; ``free`` and ``usable`` are UUIDs."""
    alike: dict[tuple[str, int, str, bool], list[str]] = {}
    for gpu in gpus:
        alike.setdefault((gpu.name, gpu.memory, gpu.vendor, gpu.is_instance), []).append(gpu.uuid)
    return GpuSummary(
        kinds=tuple(
            GpuKind(
                name,
                memory,
                free=sum(uuid in free for uuid in uuids),
                usable=sum(uuid in usable for uuid in uuids),
                total=len(uuids),
                vendor=vendor,
                is_instance=is_instance,
            )
            for (name, memory, vendor, is_instance), uuids in alike.items()
        ),
        devices=_words(gpus),
        free_devices=_words([gpu for gpu in gpus if gpu.uuid in free]),
    )


def _words(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    return tuple(word for gpu in gpus for word in (gpu.uuid, gpu.label))
