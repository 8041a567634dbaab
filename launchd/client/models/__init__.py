"""Values that a queue server sends and receives, frozen: a module for each topic of the operations.

Owns the fields, their names and nullability on the wire; `queue_server.py` re-exports the common ones. No behaviour, no
I/O. Fields marked "launchd protocol" are sent by launchd's own server only; a W&B server leaves their defaults.
"""
