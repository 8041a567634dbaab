"""What the supervisor and a worker agree on: messages, states, handles, exit codes.

The leaf of the import graph: it imports the standard library and msgspec, and neither
``launchd`` nor ``workers``.
"""
