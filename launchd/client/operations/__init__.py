"""The GraphQL operations by topic, each with the type that its response is decoded into.

Owns the texts; it does no I/O. Fields and arguments are W&B's, as its clients send them, but those of
`launchd_protocol`.
"""
