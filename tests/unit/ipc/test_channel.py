"""What a supervisor may send to a worker without waiting for it."""

from ipc.channel import open_channel
from ipc.messages import LookAgain


def test_a_worker_that_reads_nothing_is_sent_no_more_than_its_queue_takes() -> None:
    supervisor, worker = open_channel()
    try:
        sent = 0
        while supervisor.has_room():
            supervisor.send(LookAgain())
            sent += 1

        assert sent > 100
        assert [worker.receive() for _ in range(sent)] == [LookAgain()] * sent
        assert supervisor.has_room()
    finally:
        supervisor.close()
