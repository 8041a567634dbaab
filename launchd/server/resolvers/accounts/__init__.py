"""Resolvers of accounts, keys and projects."""
