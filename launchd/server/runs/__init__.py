"""What runs log: the file stream, history, sampling, files, crashes. Knows no GraphQL."""
