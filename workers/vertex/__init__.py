"""What the runner for Vertex AI is made of: the request for a job, what of it is granted, the API, and the output."""
