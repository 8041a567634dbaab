"""Statements on runs."""
