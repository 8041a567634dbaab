"""The GPUs of this host: which there are, which job has which, and which are not given out."""
