"""Secrets for a tool as files in memory: on no disk, and gone with the last process that has them open."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager


@contextmanager
def in_memory(secrets: Mapping[str, str]) -> Iterator[dict[str, int]]:
    """Yield a descriptor for each text; a tool that inherits it reads it at ``/proc/self/fd/DESCRIPTOR``."""
    with ExitStack() as stack:
        files = {}
        for name, text in secrets.items():
            files[name] = os.memfd_create(name, os.MFD_CLOEXEC)
            stack.callback(os.close, files[name])
            with os.fdopen(files[name], "w", closefd=False) as file:
                file.write(text)
        yield files
