"""What the kernel shows of devices below ``/sys``: near which memory and which processors they are."""

from pathlib import Path


def read_text(path: Path) -> str | None:
    """Return the text of a file of the kernel, ``None`` where there is none, or it cannot be read now."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """Return the number in a file of the kernel, likewise."""
    text = read_text(path)
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None


def numa_node(device: Path) -> int | None:
    """Return the node of memory that a device is near to; ``None`` where the host has one alone, or does not say."""
    node = read_number(device / "numa_node")
    return node if node is not None and node >= 0 else None


def local_processors(device: Path) -> str | None:
    """Return the processors that a device is near to, as the kernel lists them (``0-15,32-47``)."""
    return read_text(device / "local_cpulist") or None
