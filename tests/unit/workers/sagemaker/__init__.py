"""What is pure of the runner of training jobs."""
