"""What buildah is told, without running it."""
