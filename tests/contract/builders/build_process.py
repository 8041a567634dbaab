"""A worker that builds an image, in a process of its own, to be killed: `ORDER_FILE PLAN_FILE`."""

import sys
from pathlib import Path

import msgspec

from ipc.messages import Event
from ipc.work_order import WorkOrder
from workers import processes
from workers.builders.buildah import BuildahMaker
from workers.context import JobContext
from workers.images import ImagePlan
from workers.images.build_log import BuildLog
from workers.registries import load_registry


def main(order_file: str, plan_file: str) -> None:
    processes.adopt_orphans()
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=WorkOrder)
    plan = msgspec.json.decode(Path(plan_file).read_bytes(), type=ImagePlan, dec_hook=lambda kind, text: kind(text))

    def say(event: Event) -> None:
        sys.stdout.write(f"{event}\n")
        sys.stdout.flush()

    context = JobContext(order, "key1", say)
    with BuildLog(plan.log) as log:
        BuildahMaker(load_registry(order), context).make(plan, log)


if __name__ == "__main__":
    main(*sys.argv[1:])
