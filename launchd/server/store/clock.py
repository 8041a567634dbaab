"""The clock of leases, heartbeats and silence: `NOW`, for use in statements. It does not follow the wall clock.

Seconds with an arbitrary start. In PostgreSQL they are that server's clock, one for all queue servers; with SQLite the
boot-time clock of this machine, which goes on while the machine sleeps and begins anew with each boot. So what SQLite
holds from an earlier boot has to be renewed at the start (`server_state.start`).
"""

from typing import Any

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

FUNCTION = "launchd_now"
"""Name of the function in SQLite, registered with each connection."""


class _Now(FunctionElement[float]):
    type = Float()
    name = FUNCTION
    inherit_cache = True


@compiles(_Now)
def _call_function(_element: _Now, _compiler: Any, **_: Any) -> str:
    return f"{FUNCTION}()"


@compiles(_Now, "postgresql")
def _read_clock(_element: _Now, _compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


NOW = _Now()
"""The present moment, as an expression."""
