"""What is wrong with a job's resource args, in a sentence for who wrote them. Pure."""

from ipc.errors import InvalidSpec
from ipc.type_errors import TYPE_WORDS, read_type_complaint

_HINT = "Correct it in the queue's configuration, or in the job's resource args."
_WORDS = {**TYPE_WORDS, "str": "text", "float": "a number"}


def wrong_arguments(place: str, error: Exception) -> InvalidSpec:
    """Return the error for arguments at ``place``, such as ``resource_args.vertex``, of which ``error`` complains."""
    complaint = read_type_complaint(str(error))
    if complaint is None:
        return InvalidSpec(f"Something is wrong in {place}: {str(error).rstrip('.')}.", hint=_HINT)
    where = f"{place}{complaint.place}".replace("[...]", ", each of its values,")
    wanted = " or ".join(_WORDS.get(one, one) for one in complaint.wanted)
    given = _WORDS.get(complaint.given, complaint.given)
    return InvalidSpec(f"{where} must be {wanted}, and is {given}.", hint=_HINT)
