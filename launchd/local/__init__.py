"""The `launchd up` of this machine, and the queue server that is used by default."""
