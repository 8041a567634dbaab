"""What an installer resolved requirements to, as far as it can be shared."""

import json
from typing import Any

import pytest

from workers.builders.wheels import NotShareable, Wheel, wheels_of_pylock, wheels_of_report

DIGEST = "0" * 64
HEAD = 'lock-version = "1.0"\n[[packages]]\n'
FILE = f'{{ url = "https://a.example/Tiny_One-1.0%2Bcpu-py3-none-any.whl", hashes = {{ sha256 = "{DIGEST}" }} }}'


def report(url: str, *, direct: bool = False, hashes: dict[str, str] | None = None) -> bytes:
    info: dict[str, Any] = {"url": url, "archive_info": {"hashes": {"sha256": DIGEST} if hashes is None else hashes}}
    installed = {"download_info": info, "is_direct": direct, "metadata": {"name": "tiny.one", "version": "1.0+cpu"}}
    return json.dumps({"version": "1", "install": [installed]}).encode()


def test_both_tools_say_the_same() -> None:
    pylock = f'{HEAD}name = "tiny-one"\nversion = "1.0"\nwheels = [{FILE}]\n'.encode()
    url = "https://a.example/Tiny_One-1.0%2Bcpu-py3-none-any.whl"

    expected = Wheel("tiny-one", "1.0+cpu", (("Tiny_One-1.0+cpu-py3-none-any.whl", DIGEST),))

    assert wheels_of_pylock(pylock) == wheels_of_report(report(url)) == (expected,)
    assert expected.line() == f"tiny-one==1.0+cpu --hash=sha256:{DIGEST}"


def test_the_hash_of_an_older_pip_is_read() -> None:
    url = "https://a.example/tiny_one-1.0-py3-none-any.whl"
    info = {"url": url, "archive_info": {"hash": f"sha256={DIGEST}"}}
    installed = {"download_info": info, "metadata": {"name": "tiny.one", "version": "1.0"}}

    [wheel] = wheels_of_report(json.dumps({"version": "1", "install": [installed]}).encode())

    assert wheel.line() == f"tiny-one==1.0 --hash=sha256:{DIGEST}"


def test_a_wheel_at_an_address_is_installed_from_there() -> None:
    url = "https://a.example/tiny_one-1.0-py3-none-any.whl"
    pylock = f'{HEAD}name = "tiny-one"\narchive = {{ url = "{url}", hashes = {{ sha256 = "{DIGEST}" }} }}\n'.encode()

    [wheel] = wheels_of_report(report(url, direct=True))

    assert wheels_of_pylock(pylock) == (wheel,)
    assert wheel.line() == f"tiny-one @ {url} --hash=sha256:{DIGEST}"


@pytest.mark.parametrize(
    ("package", "why"),
    [
        ('name = "a"\nsdist = { url = "https://a.example/a-1.tar.gz" }', "a is no wheel"),
        ('name = "a"\nvcs = { type = "git", url = "https://a.example/a.git", commit-id = "0" }', "a is no wheel"),
        ('name = "a"\ndirectory = { path = "lib" }', "a is no wheel"),
        ('name = "a"\narchive = { url = "https://a.example/a-1.tar.gz", hashes = { sha256 = "0" } }', "a is no wheel"),
        ('name = "a"\nwheels = [{ url = "https://a.example/a-1-py3-none-any.whl" }]', "a has no hash"),
        (f'name = "a"\nwheels = [{FILE}]', "a comes in a wheel of tiny-one"),
        ("name = 1", "answer cannot be read"),
        ("name", "answer cannot be read"),
    ],
)
def test_what_is_no_hashed_wheel_is_not_shared(package: str, why: str) -> None:
    with pytest.raises(NotShareable, match=why):
        wheels_of_pylock(f"{HEAD}{package}\n".encode())


@pytest.mark.parametrize(
    "answer", [b"", b"{", report("https://a.example/tiny-one-1.tar.gz"), report("x.whl", hashes={})]
)
def test_nor_is_another_report(answer: bytes) -> None:
    with pytest.raises(NotShareable):
        wheels_of_report(answer)
