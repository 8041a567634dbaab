"""Artifacts beside GraphQL: the addresses of their files, and their manifests."""
