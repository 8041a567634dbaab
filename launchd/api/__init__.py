"""The Python API, imported as `launchd`: launch jobs, queue them, run an agent, manage queues.

Names, signatures and behaviour are those of W&B's documentation for `wandb.sdk.launch` 0.20.1, except where W&B ignores
an argument. Every run is a job of a supervisor with its workers, in a process of its own (`embedded`). Nothing here
parses a command line.
"""
