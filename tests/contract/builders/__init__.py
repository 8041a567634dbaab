"""Builders of images, over the tools and the registries themselves."""
