"""A job kept in a git repository: estimates pi from random points and says which version of itself ran."""

import argparse
import random
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--points", type=int, default=200_000)
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()

version = Path(__file__).with_name("VERSION").read_text().strip()
draw = random.Random(arguments.seed).random
inside = sum(draw() ** 2 + draw() ** 2 <= 1 for _ in range(arguments.points))
print(f"version {version}: pi is about {4 * inside / arguments.points:.4f}")
