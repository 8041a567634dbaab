"""Manifests of artifacts, and files that are uploaded in parts. Knows no GraphQL."""
