"""The control socket of the agent: behind `launchd status`, `logs`, `stop`, `drain` and `reload`."""
