"""The process that serves an agent's metrics, and the thread of the supervisor that answers it."""
