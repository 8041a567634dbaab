"""What programs import as `launchd`: launching jobs, queueing them, running an agent, looking after queues.

Names, signatures and behaviour are those of W&B's documents for `wandb.sdk.launch` 0.20.1, except where that does
nothing with an argument. Every run goes through the one engine there is, a supervisor with its workers, in a process
of its own. Nothing here parses a command line or prints.
"""
