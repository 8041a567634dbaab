"""Resolvers of sweeps."""
