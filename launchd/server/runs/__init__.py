"""Pure logic of runs: the file stream, history, sampling, filters, sorting, names. Knows no database and no GraphQL."""
