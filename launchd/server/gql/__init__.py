"""The GraphQL side of the server: envelope, documents, limits, scalars, schema. Knows nothing of queues."""
