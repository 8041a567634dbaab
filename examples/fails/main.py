"""A job that fails on purpose: a message on standard error and exit code 3."""

import sys

print("looking for the data set")
print("the data set 'cats-and-dogs' is not on this host", file=sys.stderr)
sys.exit(3)
