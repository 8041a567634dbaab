"""The queue server: a W&B-compatible GraphQL API over a store of its own. Nothing outside imports it but the commands that start it."""
