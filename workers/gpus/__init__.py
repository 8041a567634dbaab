"""GPUs of this host: the probe that looks at them, and what a process or a container needs to see its own alone."""
