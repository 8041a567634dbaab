"""What is a number in a sweep's configuration."""


def is_number(value: object) -> bool:
    """Whether it is a number that can be reckoned with: no truth value, no infinity, nothing close to one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
