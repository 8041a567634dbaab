"""Images built without a daemon, by buildah: its storage on this host, its user namespace, its commands."""
