"""What runs log: the file stream, history, sampling, filters, names. Knows no GraphQL."""
