"""Run specs that nobody means: W&B's keys with values of every type, and what no reader of JSON expects."""

from typing import Any

from hypothesis import strategies as st

#: The keys of W&B's launch spec, those that its agent reads and those that it only hands on.
KEYS = (
    *("uri", "job", "entity", "project", "name", "author", "docker", "image_uri", "git", "python_version", "resource"),
    *("resource_args", "overrides", "run_id", "sweep_id", "template_variables", "priority", "queue_entity", "registry"),
    *("builder", "_resume_count", "_wandb_api_key", "additional_services"),
)

#: Those that say what is run: drawn more often.
_READ_KEYS = (*("docker", "overrides") * 4, *("git", "resource_args", "name", "run_id", "author") * 2)

#: What those keys hold in turn.
INNER_KEYS = (
    *("docker_image", "user_id", "repo", "version", "url", "config", "local-process", "local-container", "kubernetes"),
    *("entry_point", "args", "run_config", "artifacts", "files", "dockerfile", "working_dir", "builder"),
)

#: A spec that is admitted; what is drawn lies over it.
GOOD: dict[str, Any] = {
    "entity": "me",
    "project": "demo",
    "resource": "local-process",
    "overrides": {"entry_point": ["true"]},
}

_TEXTS = (
    *("", " ", "x", "me", "local-process", "placeholder-uri-scheduler", "wandb-artifact://_id/QQ==", "null", "0"),
    *(
        "a\0b",
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "\x1b[2J\x1b]0;owned\x07",
        "\x9b31m",
        "a\nb\r",
        "\ufeff",
        "\U0001f600",
    ),
    *("x" * 200, "y" * 5000, "../../../etc/passwd", "$(reboot)", "'", "-c", "--upload-pack=x", "ext::sh -c reboot"),
    *("https://example.org/x.git", "file:///etc", "git@host:x", "me/demo/train:latest", "${WANDB_API_KEY}", "{{x}}"),
)
_NUMBERS = (0, 1, -1, 5, 2**31, 2**63, -(2**64), 10**40, 10**299, 10**300, 10**4299, -(10**4299))
_FLOATS = (0.0, -0.0, 0.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"))

texts = st.sampled_from(_TEXTS) | st.text(max_size=20)
_scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(_NUMBERS)
    | st.integers()
    | st.sampled_from(_FLOATS)
    | st.floats()
    | texts
)
_keys = st.sampled_from((*KEYS, *INNER_KEYS)) | texts


@st.composite
def _nested(draw: st.DrawFn) -> Any:
    """A value within many others: as deep as is allowed, a little deeper, or deeper than any reader of JSON follows."""
    value = draw(_scalars)
    as_list = draw(st.booleans())
    for _ in range(draw(st.sampled_from([90, 97, 98, 99, 100, 101, 500, 1100, 5000]))):
        value = [value] if as_list else {"a": value}
    return value


# Larger ones take most of the time, and tell the same each time: they are tried by themselves.
_wide = st.just([0] * 1000)
_long = st.sampled_from(["z" * 33_000, "z" * 140_000])


def _rarely(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 50).flatmap(lambda number: usual if number else rare)


_flat = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=6,
)
values = _rarely(_flat, _nested() | _wide | _long)

_of_their_type = {
    "docker": st.fixed_dictionaries({}, optional={"docker_image": values, "user_id": values}),
    "git": st.fixed_dictionaries({}, optional={"repo": values, "version": values}),
    "registry": st.fixed_dictionaries({}, optional={"url": values}),
    "resource_args": st.dictionaries(_keys, values, max_size=2),
    "overrides": st.fixed_dictionaries(
        {"entry_point": st.just(["true"])},
        optional=dict.fromkeys(INNER_KEYS[INNER_KEYS.index("entry_point") + 1 :], values),
    ),
    "additional_services": st.lists(st.fixed_dictionaries({}, optional={"config": values}), max_size=2),
    "_resume_count": st.sampled_from(_NUMBERS),
    "_wandb_api_key": st.text(alphabet="0123456789abcdef", min_size=40, max_size=40) | texts,
}


def _value_of(key: str) -> st.SearchStrategy[Any]:
    return st.one_of(values, _of_their_type.get(key, texts))


def hostile_specs() -> st.SearchStrategy[dict[str, Any]]:
    """Run specs of which a few keys are other than anybody means; one in some is admitted."""
    keys = st.lists(st.sampled_from((*KEYS, *_READ_KEYS)), min_size=0, max_size=4, unique=True)
    changes = keys.flatmap(lambda names: st.fixed_dictionaries({name: _value_of(name) for name in names}))
    unknown = _rarely(st.just({}), st.dictionaries(texts, values, max_size=2))
    return st.builds(lambda change, more: GOOD | more | change, changes, unknown)
