"""Artifacts beside GraphQL: their manifests, and files that came in parts."""
