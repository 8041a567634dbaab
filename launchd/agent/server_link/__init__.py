"""The threads that speak to the queue server: registration, polling, heartbeats, reports."""
