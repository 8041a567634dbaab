"""Benchmarks of launchd: its speed and what it uses, each figure beside the baseline of the same machine."""
