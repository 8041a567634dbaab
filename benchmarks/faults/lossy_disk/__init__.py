"""A disk that loses what was not synced when its power is cut: a FUSE file system in the memory of a process."""
