"""W&B's words for what runs a queue's jobs, for those who name one and for the server that keeps it alike.

Owns the words; what an agent runs of them is its own.
"""

#: What W&B's clients let a queue have; they look before they ask.
RESOURCES = ("local-process", "local-container", "kubernetes", "sagemaker", "gcp-vertex")

#: W&B's agent's other word for gcp-vertex.
VERTEX = "vertex"
