"""What is wrong with a job's resource args, in a sentence for who wrote them. Pure."""

import re

from ipc.errors import InvalidSpec

_HINT = "Correct it in the queue's configuration, or in the job's resource args."
#: As msgspec says that a value is of another type.
_OTHER_TYPE = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`(?: - at `\$(?P<place>[^`]*)`)?")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def wrong_arguments(place: str, error: Exception) -> InvalidSpec:
    """Return the error for arguments at ``place``, such as ``resource_args.vertex``, of which ``error`` complains."""
    found = _OTHER_TYPE.fullmatch(str(error))
    if found is None:
        return InvalidSpec(f"Something is wrong in {place}: {str(error).rstrip('.')}.", hint=_HINT)
    where = f"{place}{found['place'] or ''}".replace("[...]", ", each of its values,")
    return InvalidSpec(f"{where} must be {_words(found['wanted'])}, and is {_words(found['given'])}.", hint=_HINT)


def _words(types: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in types.split(" | "))
