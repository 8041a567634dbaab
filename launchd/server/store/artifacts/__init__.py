"""Statements on artifacts."""
