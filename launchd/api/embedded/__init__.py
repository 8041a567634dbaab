"""An agent that a program runs for itself, in a child process with an unchanged supervisor."""
