"""A launch agent for hosts with GPUs, and a queue server of its own, speaking the protocol of W&B Launch.

Owns the version and nothing else. Importing it must stay free: it imports no other module, least of all `workers` or
`ipc`, whose names are common in other people's code.
"""

__version__ = "0.1.0"
