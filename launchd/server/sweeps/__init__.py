"""Pure logic of sweeps: configuration, samplers, Bayes, early stopping. Knows no database and no GraphQL."""
