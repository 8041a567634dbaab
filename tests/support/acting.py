"""What is done again and again beside a test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def acting(acts: Sequence[Callable[[], object]]) -> Iterator[None]:
    """While inside, a thread for each of ``acts`` repeats it; the last call of each has ended afterwards."""
    stop = threading.Event()

    def repeat(act: Callable[[], object]) -> None:
        while not stop.is_set():
            act()

    threads = [threading.Thread(target=repeat, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
