"""Statements on sweeps."""
