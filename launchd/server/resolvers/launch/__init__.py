"""Resolvers of queues, items and agents."""
