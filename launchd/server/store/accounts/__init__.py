"""Statements on accounts, keys and projects."""
