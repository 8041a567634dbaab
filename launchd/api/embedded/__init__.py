"""Agents of a program: the supervisor of `launchd agent`, unchanged, in a child process."""
