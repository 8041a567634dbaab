"""Attacks: what whoever may push, run a job or name something tries against host, agent, server and operator."""
