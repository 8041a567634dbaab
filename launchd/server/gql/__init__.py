"""GraphQL over HTTP: envelope, document cache, limits, scalars, schema. Knows nothing of queues."""
