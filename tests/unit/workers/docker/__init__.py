"""What a job's arguments ask of a container engine, and what the host's policy says to it."""
