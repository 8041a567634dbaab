"""``python -m benchmarks [NAME ...] [--jobs N]``: measure and print the table."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import adoption, latency, resources, throughput
from benchmarks.table import Figure, print_table

BENCHMARKS: dict[str, Callable[[Path, int], list[Figure]]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "adoption": adoption.measure,
    "cpu": resources.measure_cpu,
    "memory": resources.measure_memory,
}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to run; all by default")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs the memory is measured over")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for name in arguments.names or BENCHMARKS:
        print(f"measuring {name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="launchd-bench-") as directory:
            figures += BENCHMARKS[name](Path(directory), arguments.jobs)
    print_table(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
