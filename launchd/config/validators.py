"""Validators: each takes a value from YAML, a variable or a flag, and returns it converted.

Owns the conversions, which raise `ValueError` with the end of a sentence ("must be ..."), and beside each what JSON
Schema says of the values that it takes. They have no knowledge of keys.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from ipc.gpus import Gpu
from ipc.sizes import UNITS, parse_size
from ipc.targets import TARGETS
from launchd.config.diagnostics import nearest_name
from launchd.metrics.address import parse_address

T = TypeVar("T")

MAX_COUNT = 1_000_000
MAX_INTEGER = (1 << 31) - 1  # GraphQL's Int, as which some of them travel
MAX_DAYS = 36_500
MAX_SECONDS = 10 * 365 * 86400.0
_DIGITS = re.compile(r"\s*[+-]?\d{1,18}\s*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: What can be said of a GPU; the rest is for GPUs whose driver is asked.
_GPU_KEYS = ("uuid", "name", "memory", "index", "vendor", "numa", "processors", "linked", "files")
_BUCKET = re.compile(r"(s3|gs)://[^/\s]+(/\S*)?")
_BLOB = re.compile(r"https://[a-z0-9]+\.blob\.core\.windows\.net/[^/\s]+(/\S*)?")

#: What examples have where a value of the reader's own belongs: `<entity-name>`.
_PLACEHOLDER = re.compile(r"<[^<>]*>")

_PATH = r"^\s*[/~]"
_WHOLE = r"^\s*[+-]?\d{1,18}\s*$"
_SECONDS = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_A_SIZE = rf"^\s*\d{{1,15}}\s*({'|'.join(UNITS)})\s*$"
_A_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_A_UMASK = r"^0?[0-7]{3}$"
_A_NAME = {"type": "string", "pattern": r"\S"}


class Validator(Generic[T]):
    """A conversion, and what JSON Schema (draft 7) says of the values that it takes.

    The schema may take more than the conversion: what depends on the host is the conversion's alone.
    """

    def __init__(self, convert: Callable[[Any], T], schema: Mapping[str, Any]) -> None:
        self._convert = convert
        self.schema = schema

    def __call__(self, value: Any) -> T:
        """Return the value converted; raises `ValueError`."""
        return self._convert(value)


def takes(kind: str | list[str], **schema: Any) -> Callable[[Callable[[Any], T]], Validator[T]]:
    """Make a function a validator of values of the JSON type ``kind``, or of one of them."""
    return lambda convert: Validator(convert, {"type": kind, **schema})


@takes("string", pattern=r"\S")
def text(value: Any) -> str:
    """Return text that is not empty, without space around it."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not value.strip():
        raise ValueError("must not be empty")
    if _PLACEHOLDER.fullmatch(value.strip()):
        raise ValueError("is a placeholder of an example: write what it stands for")
    return value.strip()


@takes(["boolean", "string"], pattern=r"^\s*([Tt]rue|TRUE|[Ff]alse|FALSE)\s*$")
def boolean(value: Any) -> bool:
    """Return true or false, also given in quotes; for W&B's agent every text that is not empty is true."""
    if isinstance(value, bool):
        return value
    quoted = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in quoted:
        return quoted[value.strip().lower()]
    raise ValueError("must be true or false")


@takes(["integer", "string"], pattern=_WHOLE)
def integer(value: Any) -> int:
    """Return a whole number; digits in quotes count, as for W&B."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    if abs(value) > MAX_INTEGER:
        raise ValueError("must be a whole number of reasonable size")
    return value


def at_least(minimum: int) -> Validator[int]:
    """Return a validator of whole numbers that are not smaller than `minimum`."""

    @takes(["integer", "string"], pattern=_WHOLE, minimum=minimum, maximum=MAX_INTEGER)
    def validate(value: Any) -> int:
        number = integer(value)
        if number < minimum:
            raise ValueError(f"must be {minimum} or more")
        return number

    return validate


@takes(["integer", "string"], pattern=_WHOLE, minimum=-1, maximum=MAX_COUNT)
def job_limit(value: Any) -> int:
    """Return a number of jobs; -1 is no limit, as for W&B."""
    number = integer(value)
    if not -1 <= number <= MAX_COUNT:
        raise ValueError(f"must be between 0 and {MAX_COUNT}, or -1 for no limit")
    return number


@takes("string", pattern=r"^\s*(unix:/.+|[\[\]0-9A-Fa-f.:%]+:[0-9]{1,5}|localhost:[0-9]{1,5})\s*$")
def listen_address(value: Any) -> str:
    """Return an address to listen at: an address in numbers with a port, or the path of a unix socket."""
    return str(parse_address(text(value)))


def _parse_seconds(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) < MAX_SECONDS:  # also where it is not a number at all
        raise ValueError("must be a number of seconds")
    return number


@takes(["number", "string"], pattern=_SECONDS, exclusiveMinimum=0, exclusiveMaximum=MAX_SECONDS)
def positive_seconds(value: Any) -> float:
    """Return a number of seconds above 0."""
    number = _parse_seconds(value)
    if number <= 0:
        raise ValueError("must be more than 0 seconds")
    return number


@takes("number", exclusiveMinimum=0, maximum=MAX_DAYS)
def days(value: Any) -> float:
    """Return a number of days above 0, which may be a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_DAYS:
        raise ValueError(f"must be a number of days above 0, and no more than {MAX_DAYS}")
    return float(value)


@takes("number", exclusiveMinimum=0, maximum=MAX_COUNT)
def processors(value: Any) -> float:
    """Return a number of processors, which may be a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_COUNT:
        raise ValueError("must be a number of processors above 0, such as 2 or 0.5")
    return float(value)


@takes("number", minimum=0, maximum=100)
def percent(value: Any) -> float:
    """Return a number between 0 and 100."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("must be a number between 0 and 100")
    return float(value)


@takes(["number", "string"], pattern=_SECONDS, minimum=0, exclusiveMaximum=MAX_SECONDS)
def seconds_or_zero(value: Any) -> float:
    """Return a number of seconds, 0 or more."""
    number = _parse_seconds(value)
    if number < 0:
        raise ValueError("must be 0 seconds or more")
    return number


@takes(["number", "string"], pattern=_SECONDS, exclusiveMinimum=-MAX_SECONDS, exclusiveMaximum=MAX_SECONDS)
def seconds_or_never(value: Any) -> float:
    """Return a number of seconds, or 0 for "no limit", which any number below 0 means too, as for W&B."""
    return max(0.0, _parse_seconds(value))


@takes(["integer", "string"], pattern=_A_SIZE, minimum=1)
def size(value: Any) -> int:
    """Return a number of bytes, given as 1048576, "1 MiB" or "20GiB"."""
    return parse_size(value)


def choice(*allowed: str) -> Validator[str]:
    """Return a validator that takes one of the allowed texts."""

    @takes("string", enum=list(allowed))
    def validate(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be {either(allowed)}")
        return str(value)

    return validate


@takes("array", items=_A_NAME)
def names(value: Any) -> tuple[str, ...]:
    """Return a list of names without duplicates."""
    if isinstance(value, str):
        raise ValueError(f"must be a list: write [{value}]")
    if not isinstance(value, list):
        raise ValueError("must be a list of names")
    for name in value:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"has {name!r}, which is no name: write a name, in quotes where it looks like a number")
        if _PLACEHOLDER.fullmatch(name.strip()):
            raise ValueError(f"has {name!r}, a placeholder of an example: write what it stands for")
    return tuple(dict.fromkeys(name.strip() for name in value))


@takes("string", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
def namespace(value: Any) -> str:
    """Return the name of a namespace of Kubernetes."""
    name = text(value)
    if not _NAMESPACE.fullmatch(name):
        raise ValueError("must be a namespace: small letters, digits and hyphens between them, at most 63")
    return name


@takes("array", items=_A_NAME)
def resources(value: Any) -> tuple[str, ...]:
    """Return a list of resources that there are."""
    found = names(value)
    known = {word: target.offered for target in TARGETS.values() for word in target.words}
    for name in found:
        if name not in known:
            offered = [word for word, is_offered in known.items() if is_offered]
            near = nearest_name(name, offered)
            hint = f" ({near} is one)" if near else f": it is {either(tuple(offered))}"
            raise ValueError(f"has {name!r}, which is no resource{hint}")
    return found


def choices(*allowed: str) -> Validator[tuple[str, ...]]:
    """Return a validator that takes a list of the allowed texts."""

    @takes("array", items={"type": "string", "enum": list(allowed)})
    def validate(value: Any) -> tuple[str, ...]:
        for name in names(value):
            if name not in allowed:
                raise ValueError(f"has {name!r}: each must be {either(allowed)}")
        return names(value)

    return validate


@takes("array", items={"type": "string"})
def strings(value: Any) -> tuple[str, ...]:
    """Return a list of texts, such as the arguments of a command, unchanged."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


@takes("array", items={"type": "string"}, minItems=1)
def command(value: Any) -> tuple[str, ...]:
    """Return the words of a command, the first of which is the absolute path of a program."""
    words = strings(value)
    if not words or not words[0].startswith("/") or any("\0" in word for word in words):
        raise ValueError("must be a list of words that begins with the absolute path of a program")
    return words


@takes("object")
def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping whose keys are text."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a mapping")
    return value


@takes(
    "object",
    propertyNames={"pattern": _A_VARIABLE},
    additionalProperties={"type": ["string", "number", "null"]},
)
def variables(value: Any) -> dict[str, str | None]:
    """Return variables of a process by name; null, as in Docker's Compose, passes on the agent's own."""
    given = mapping(value)
    for name, content in given.items():
        if not re.fullmatch(_A_VARIABLE, name):
            raise ValueError(f"has {name[:100]!r}, which is no name of a variable")
        if isinstance(content, bool) or not isinstance(content, str | int | float | None) or "\0" in str(content):
            raise ValueError(f"must have text for {name}, or nothing for the agent's own: write the value in quotes")
    return {name: None if content is None else str(content) for name, content in given.items()}


@takes("string", pattern=_A_UMASK)
def umask(value: Any) -> str:
    """Return the octal digits of a umask. YAML 1.1 reads them as another number where they have no quotes."""
    if not isinstance(value, str) or not re.fullmatch(_A_UMASK, value):
        raise ValueError("must be octal digits in quotes, such as '027'")
    return value


@takes("string", pattern=r"^\s*https?://[^/\s]")
def url(value: Any) -> str:
    """Return the address of a server, without a slash at its end."""
    address = text(value).rstrip("/")
    if not _is_address_of_http(address):
        raise ValueError("must be an address such as http://HOST:PORT or https://HOST")
    return address


def _is_address_of_http(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # The port is no number, or none that a port may have.
        return False


@takes("string", pattern=_PATH)
def absolute_path(value: Any) -> str:
    """Return an absolute path; `~` is the home directory."""
    try:
        path = Path(text(value)).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home directory of a user whom this host does not know") from None
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError("must be an absolute path")
    return str(path)


def granted_paths(*modes: str) -> Validator[tuple[str, ...]]:
    """Return a validator of a list of absolute paths, each with one of `modes` after a colon, or without."""

    @takes(
        "array",
        items={"type": "string", "pattern": rf"^\s*/[^:]*(:({'|'.join(modes)}))?\s*$" if modes else r"^\s*/[^:]*$"},
    )
    def validate(value: Any) -> tuple[str, ...]:
        for text in names(value):
            path, colon, mode = text.partition(":")
            if not path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"has {text!r}: each must be an absolute path without ..")
            if colon and mode not in modes:
                after = f"may have {either(tuple(f':{one}' for one in modes))} after it" if modes else "has no colon"
                raise ValueError(f"has {text!r}: a path {after}")
        return names(value)

    return validate


@takes(
    "array",
    minItems=1,
    items={"type": ["string", "integer", "object"], "propertyNames": {"enum": list(_GPU_KEYS)}, "required": ["uuid"]},
)
def gpus(value: Any) -> tuple[Gpu, ...]:
    """Return a list of GPUs: each a UUID or an index, or a mapping with what else is known of it."""
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of GPUs, each a UUID or a mapping with one")
    found = tuple(_gpu(one, index) for index, one in enumerate(value))
    if len({gpu.uuid for gpu in found}) < len(found) or len({gpu.label for gpu in found}) < len(found):
        raise ValueError("names a GPU twice")
    return found


def _gpu(value: Any, index: int) -> Gpu:
    given = value if isinstance(value, dict) else {"uuid": str(value)}
    memory = {"memory": parse_size(given["memory"])} if "memory" in given else {}
    unknown = sorted(set(map(str, given)) - set(_GPU_KEYS))
    if unknown:
        raise ValueError(f"has a GPU with the key {unknown[0]!r}: a GPU has {', '.join(_GPU_KEYS)}")
    try:
        return msgspec.convert({"index": index, **given, **memory}, Gpu)
    except msgspec.ValidationError as error:
        raise ValueError(f"has a GPU that cannot be read: {error}") from error


@takes("string", pattern=r"^\s*(unix:///|(tcp|https?)://\S)")
def engine_address(value: Any) -> str:
    """Return the address of a container engine: a unix socket, or a port."""
    address = text(value)
    scheme, _, rest = address.partition("://")
    if scheme not in ("unix", "tcp", "http", "https") or not rest or (scheme == "unix" and not rest.startswith("/")):
        raise ValueError("must be an address such as unix:///run/docker.sock")
    return address


@takes("string", pattern=rf"^\s*({_BUCKET.pattern}|{_BLOB.pattern})\s*$")
def object_store(value: Any) -> str:
    """Return the address of a prefix in S3, Google Cloud Storage or Azure Blob Storage."""
    address = text(value)
    if not _BUCKET.fullmatch(address) and not _BLOB.fullmatch(address):
        raise ValueError(
            "must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
        )
    return address.rstrip("/")


def either(allowed: tuple[str, ...]) -> str:
    """Return the texts as alternatives in a sentence."""
    return " or ".join((", ".join(allowed[:-1]), allowed[-1])) if len(allowed) > 1 else allowed[0]
