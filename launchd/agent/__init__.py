"""The supervisor process: claims items, gives each job a worker, keeps the journal, reports outcomes."""
