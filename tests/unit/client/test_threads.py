"""One client serves many threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

from launchd.client.queue_server import QueueServer
from tests.unit.client.scripted_server import KEY, Reply, Seen, data, scripted_server


def test_threads_do_not_mix_their_answers() -> None:
    together = threading.Barrier(4, timeout=10)

    def script(seen: Seen) -> Reply:
        together.wait()
        return data({"run": {"state": seen.variables["name"]}})

    with scripted_server(script) as running, ThreadPoolExecutor(4) as threads:
        server = QueueServer(running.url, KEY)
        names = [str(number) for number in range(20)]
        assert list(threads.map(lambda name: server.run_state("e", "p", name), names)) == names
        server.close()
