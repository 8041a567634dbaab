"""Artifacts."""

from ariadne import ObjectType

bindables: list[ObjectType] = []
