"""Sizes as people write and read them."""

import pytest

from ipc.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"), [(1, 1), ("64 MiB", 64 << 20), ("2GiB", 2 << 30), (" 5 KiB ", 5 << 10), ("7", 7), ("7 B", 7)]
)
def test_sizes_that_are_understood(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", [0, -1, True, None, 1.5, "", "much", "1 MB", "-1 MiB", "0", 1 << 62, "9" * 16])
def test_what_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="must be a number of bytes above 0"):
        parse_size(written)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (128 << 20, "128 MiB"), (5 << 40, "5 TiB")],
)
def test_sizes_are_shown_in_the_largest_unit(size: int, shown: str) -> None:
    assert format_size(size) == shown
