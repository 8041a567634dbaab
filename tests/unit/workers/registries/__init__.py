"""Registries, as they answer and as this host has credentials for them."""
