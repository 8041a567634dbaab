"""`launchd backup` of a server under load, and an agent that goes on over what `launchd restore` makes of it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from launchd.cli import main
from launchd.client.artifacts import download_artifact, upload_directory
from launchd.client.queue_server import QueueServer
from tests.support.gate import Gate
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: A queue that no agent serves.
UNSERVED = "unserved"


class Load:
    """What is pushed and uploaded without a pause until the server is gone."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self.items: list[str] = []
        self.artifacts: list[str] = []
        self._ended = threading.Event()

    def push(self) -> None:
        entity = self._testbed.entity
        with closing(QueueServer(self._testbed.server.url, self._testbed.server.key)) as client:
            while not self._ended.is_set():
                number = len(self.items)
                self.items.append(client.push(entity, UNSERVED, {"project": "load", "name": f"load {number}"}))

    def upload(self) -> None:
        code = self._testbed.directory / "code"
        code.mkdir()
        with closing(QueueServer(self._testbed.server.url, self._testbed.server.key)) as client:
            while not self._ended.is_set():
                (code / "main.py").write_text(f"print({len(self.artifacts)})\n" * 50)
                name = f"code-{len(self.artifacts)}"
                self.artifacts.append(upload_directory(client, self._testbed.entity, "load", name, code))

    def wait_for_more(self) -> None:
        items, artifacts = len(self.items), len(self.artifacts)
        wait_until(
            lambda: len(self.items) > items + 10 and len(self.artifacts) > artifacts + 2,
            what="more items and artifacts",
        )

    def end(self) -> None:
        self._ended.set()


@contextmanager
def load(testbed: Testbed) -> Iterator[Load]:
    testbed.client.create_queue(testbed.entity, UNSERVED)
    made = Load(testbed)
    threads = [threading.Thread(target=work) for work in (made.push, made.upload)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.end()
        for thread in threads:
            thread.join()


def launchd(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), prog_name="launchd")


def test_a_restore_under_load_loses_and_doubles_nothing_that_the_backup_held(tmp_path: Path) -> None:
    """It takes the 10 s for which a restored server waits for its agents."""
    begun = tmp_path / "begun"
    with make_testbed(tmp_path, max_jobs=3) as testbed:
        first, last = Gate(tmp_path / "first"), Gate(tmp_path / "last")
        testbed.start_agent()

        def push(name: str, wait: str = "true") -> str:
            return testbed.push("sh", "-c", f"echo {name} >> {begun}; {wait}", name=name)

        testbed.wait_over([over := push("over")])
        running = [push("running-1", last.wait), push("running-2", last.wait)]
        ends_soon = push("ends-soon", first.wait)
        wait_until(lambda: len(begun.read_text().split()) == 4, what="four jobs have begun")
        waiting = push("waiting", last.wait)
        with load(testbed) as made:
            made.wait_for_more()
            items, artifacts = list(made.items), list(made.artifacts)

            backup = launchd("backup", "--data-dir", testbed.server.data_dir, tmp_path / "backup")

            assert (backup.exit_code, backup.stderr) == (0, "")
            made.wait_for_more()
            first.open()
            wait_until(lambda: "waiting" in begun.read_text(), what="what waited in the backup runs")
        testbed.wait_over([ends_soon])

        testbed.server.kill()
        testbed.server.data_dir.rename(tmp_path / "lost")
        restored = launchd("restore", "--data-dir", testbed.server.data_dir, tmp_path / "backup")
        assert (restored.exit_code, restored.stderr) == (0, "")
        testbed.server.start()

        wait_until(lambda: testbed.item(waiting).state == "CLAIMED", what="the agent has shown what it runs")
        last.open()
        testbed.wait_over([over, *running, ends_soon, waiting])
        states = [testbed.item(item).state for item in (over, *running, waiting)]
        held = testbed.client.queue(testbed.entity, UNSERVED)
        assert held is not None
        found = [testbed.item(item).state for item in items]
        for number, artifact in enumerate(artifacts):
            download_artifact(testbed.client, artifact, tmp_path / "again" / str(number))

    assert states == ["FINISHED"] * 4
    assert Counter(begun.read_text().split()) == Counter(["over", "running-1", "running-2", "ends-soon", "waiting"])
    assert set(found) == {"PENDING"}
    assert len(items) <= held.pending_count < len(made.items)
    assert [(tmp_path / "again" / str(number) / "main.py").read_text() for number in range(len(artifacts))] == [
        f"print({number})\n" * 50 for number in range(len(artifacts))
    ]
