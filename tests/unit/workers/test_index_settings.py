"""The host's settings for pip and uv: addresses go into a file, the rest into the environment, secrets nowhere else."""

import pytest

from workers.builders.index_settings import index_settings

UV = {
    "UV_INDEX_URL": "https://old.example/simple",
    "UV_DEFAULT_INDEX": "https://ada:word@a.example/simple",
    "UV_INDEX": "own=https://own.example/simple https://b.example/simple",
    "UV_INDEX_OWN_USERNAME": "bob",
    "UV_INDEX_OWN_PASSWORD": "p@ss",
    "UV_FIND_LINKS": "/srv/wheels,https://c.example/links",
    "UV_PUBLISH_TOKEN": "secret",
    "UV_HTTP_TIMEOUT": "9",
}
PIP = {"PIP_INDEX_URL": "https://a.example", "PIP_EXTRA_INDEX_URL": "https://b.example https://c.example"}


def test_addresses_become_lines_of_a_file() -> None:
    assert index_settings(UV | PIP, "uv").lines == (
        "--index-url https://ada:word@a.example/simple",
        "--extra-index-url https://bob:p%40ss@own.example/simple",
        "--extra-index-url https://b.example/simple",
        "--find-links /srv/wheels",
        "--find-links https://c.example/links",
    )
    assert index_settings(UV | PIP, "pip").lines == (
        "--index-url https://a.example",
        "--extra-index-url https://b.example",
        "--extra-index-url https://c.example",
    )


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_the_environment_holds_no_secret(tool: str) -> None:
    assert index_settings(UV | PIP | {"HOME": "/root"}, tool).environment == {"UV_HTTP_TIMEOUT": "9"}


def test_passwords_are_to_be_kept_out_of_what_is_shown() -> None:
    assert index_settings(UV, "uv").secrets == ("word", "p%40ss")


def test_what_is_no_address_is_left_to_the_tool() -> None:
    assert index_settings({"PIP_INDEX_URL": "https://[x"}, "pip").lines == ("--index-url https://[x",)
