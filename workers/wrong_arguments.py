"""What is wrong with a job's resource args, in a sentence for who wrote them. Pure."""

from ipc.errors import InvalidSpec
from ipc.type_errors import read_type_complaint

_HINT = "Correct it in the queue's configuration, or in the job's resource args."


def wrong_arguments(place: str, error: Exception) -> InvalidSpec:
    """Return the error for arguments at ``place``, such as ``resource_args.vertex``, of which ``error`` complains."""
    complaint = read_type_complaint(str(error))
    if complaint is None:
        return InvalidSpec(f"Something is wrong in {place}: {str(error).rstrip('.')}.", hint=_HINT)
    where = f"{place}{complaint.place}".replace("[...]", ", each of its values,")
    wanted = complaint.wanted_in_words(with_null=True)
    return InvalidSpec(f"{where} must be {wanted}, and is {complaint.given_in_words}.", hint=_HINT)
