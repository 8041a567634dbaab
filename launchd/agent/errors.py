"""Why an agent ends otherwise than it was told to."""


class CannotStart(Exception):
    """The agent cannot start; the message says why and what to do."""


class AgentBroken(Exception):
    """A part of the agent is gone; only a new one helps, and costs no job. The message is the rest of a sentence."""
