"""What every runner does, and what only the runner of local processes can be asked."""
