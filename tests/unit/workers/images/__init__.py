"""What an image of a project is made of."""
