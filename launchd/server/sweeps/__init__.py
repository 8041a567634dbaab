"""Sweeps: reading their configuration and choosing parameters. Knows no database and no GraphQL."""
