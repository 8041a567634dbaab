"""Statements on queues, items and agents."""
