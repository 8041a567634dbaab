"""``python -m benchmarks [NAME ...] [--jobs N]``: run the benchmarks and print a table of figures."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import adoption, containers, gpu_claims, heavy_reads, image_reuse, latency, resources, throughput
from benchmarks.table import Figure, print_table

BENCHMARKS: dict[str, Callable[[Path, int], list[Figure]]] = {
    "latency": latency.measure,
    "throughput": throughput.measure,
    "gpu_claims": gpu_claims.measure,
    "adoption": adoption.measure,
    "cpu": resources.measure_cpu,
    "memory": resources.measure_memory,
    "containers": containers.measure,
    "image_reuse": image_reuse.measure,
    "reads": heavy_reads.measure,
}


def main() -> int:
    """Run the benchmarks that the command line names, or all of them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="benchmarks to run (default: all)")
    parser.add_argument(
        "--jobs", type=int, default=10_000, help="number of jobs of the memory benchmark (default: 10000)"
    )
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
