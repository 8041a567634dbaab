"""One client serves many threads."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from launchd.client.queue_server import QueueServer
from tests.support.long_tests import is_long
from tests.unit.client.scripted_server import KEY, Reply, Request, data, scripted_server


def test_threads_do_not_mix_their_answers() -> None:
    together = threading.Barrier(4, timeout=10)

    def script(request: Request) -> Reply:
        together.wait()
        return data({"run": {"state": request.variables["name"]}})

    with scripted_server(script) as running, ThreadPoolExecutor(4) as threads:
        server = QueueServer(running.url, KEY)
        names = [str(number) for number in range(20)]
        assert list(threads.map(lambda name: server.run_state("e", "p", name), names)) == names
        server.close()


DECODE_TOGETHER = """
import sys, threading
import msgspec
from launchd.client.operations.operation import query

sys.setswitchinterval(1e-6)
names = [f"field{number}" for number in range(20)]
for turn in range(int(sys.argv[1])):
    inner = msgspec.defstruct(f"Inner{turn}", [(name, list[dict[str, "int | None"]], []) for name in names])
    outer = msgspec.defstruct(f"Outer{turn}", [(name, list[inner], []) for name in names])
    operations = [query(f"q{turn}", "", "field", outer), query(f"r{turn}", "", "field", outer | None)]
    body = b'{"data": {"result": {"field7": [{"field3": [{"a": 1}]}]}}}'
    threads = [threading.Thread(target=one.decode, args=(body,)) for one in operations * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_need_the_same_answer_first_do_not_crash(request: pytest.FixtureRequest) -> None:
    """In a process of its own, for this ended by SIGSEGV."""
    turns = 200 if is_long(request.config) else 50
    command = [sys.executable, "-c", DECODE_TOGETHER, str(turns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
