"""The GraphQL documents we send, by topic, each with the type its answer is decoded into.

Owns the texts; it does no I/O. Fields and arguments are W&B's, as its clients send them; `native` is our server's own.
"""
