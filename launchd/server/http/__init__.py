"""What the server adds to uvicorn and Starlette: limits of connections and bodies, and the forms of responses."""
