"""W&B's custom scalars. JSON that is only passed on stays encoded (`msgspec.Raw`)."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from ariadne import ScalarType
from graphql import GraphQLError

_HIGHEST_LEASE = 2**53


def _same(value: Any) -> Any:
    return value


def _json_string(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _need_string(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphQLError("JSONString must be a string that contains JSON.")
    return value


def _iso_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _integer(value: Any) -> int:
    """Some of W&B's clients send 64 bit numbers as strings."""
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise GraphQLError(f"Int64 cannot represent {str(value)[:40]!r}.") from error


def _lease_number(value: Any) -> int:
    """Numbers of leases have 53 bits, so that each JSON reader keeps them exact."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _HIGHEST_LEASE:
        raise GraphQLError(f"LeaseNumber cannot represent {str(value)[:40]!r}.")
    return value


scalars = [
    ScalarType("JSON", serializer=_same, value_parser=_same),
    ScalarType("JSONString", serializer=_json_string, value_parser=_need_string),
    ScalarType("DateTime", serializer=_iso_time, value_parser=_same),
    ScalarType("Int64", serializer=_integer, value_parser=_integer),
    ScalarType("LeaseNumber", serializer=_same, value_parser=_lease_number),
    ScalarType("Duration", serializer=_integer, value_parser=_integer),
]
