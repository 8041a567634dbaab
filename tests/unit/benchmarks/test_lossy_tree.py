"""What a power cut leaves of files and names: all that was synced, and any choice of the rest."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.faults.lossy_disk.tree import PAGE, WRITEBACK_SECONDS, Node, NoRoom, Tree

SEEDS = range(200)
FILE = stat.S_IFREG | 0o600
DIRECTORY = stat.S_IFDIR | 0o700


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def tree_of(clock: Clock | None = None) -> Tree:
    return Tree(0, 0, 2**30, clock or Clock())


def make(tree: Tree, name: bytes, content: bytes = b"", directory: Node | None = None, mode: int = FILE) -> Node:
    node = tree.make(directory or tree.root, name, mode, 0, 0)
    if content:
        tree.write(node, 0, content)
    return node


def make_safe(tree: Tree, name: bytes, content: bytes = b"") -> Node:
    node = make(tree, name, content)
    tree.sync(node)
    tree.sync(tree.root)
    return node


def contents(tree: Tree, directory: Node | None = None) -> dict[bytes, bytes]:
    return {name: bytes(node.data) for name, node in (directory or tree.root).entries.items()}


def after_each_cut(prepare: object) -> list[dict[bytes, bytes]]:
    """Return what each seed leaves of a tree that ``prepare`` has changed."""
    assert callable(prepare)
    left = []
    for seed in SEEDS:
        tree = tree_of()
        prepare(tree)
        tree.cut(seed)
        left.append(contents(tree))
    return left


def test_what_was_synced_survives_every_cut() -> None:
    def prepare(tree: Tree) -> None:
        make_safe(tree, b"file", b"content")

    assert after_each_cut(prepare) == [{b"file": b"content"}] * len(SEEDS)


def test_content_that_was_not_synced_is_lost_or_kept() -> None:
    def prepare(tree: Tree) -> None:
        tree.write(make_safe(tree, b"file", b"old"), 0, b"new")

    assert {left[b"file"] for left in after_each_cut(prepare)} == {b"old", b"new"}


def test_a_name_that_was_not_synced_is_lost_or_kept_though_its_content_was() -> None:
    def prepare(tree: Tree) -> None:
        tree.sync(make(tree, b"file", b"content"))

    assert {tuple(left.items()) for left in after_each_cut(prepare)} == {(), ((b"file", b"content"),)}


def test_a_removal_that_was_not_synced_is_lost_or_kept() -> None:
    def prepare(tree: Tree) -> None:
        make_safe(tree, b"file", b"content")
        tree.unlink(tree.root, b"file")

    assert {tuple(left) for left in after_each_cut(prepare)} == {(), (b"file",)}


def test_a_replacement_is_undone_or_done_and_never_half() -> None:
    def prepare(tree: Tree) -> None:
        make_safe(tree, b"record", b"old")
        tree.sync(make(tree, b"new", b"new"))
        tree.rename(tree.root, b"new", tree.root, b"record")

    assert {left[b"record"] for left in after_each_cut(prepare)} == {b"old", b"new"}


def test_a_replacement_whose_content_was_not_synced_may_be_empty() -> None:
    def prepare(tree: Tree) -> None:
        make_safe(tree, b"record", b"old")
        make(tree, b"new", b"new")
        tree.rename(tree.root, b"new", tree.root, b"record")
        tree.sync(tree.root)

    assert {left[b"record"] for left in after_each_cut(prepare)} >= {b"", b"new"}


def test_a_move_between_directories_is_synced_with_either() -> None:
    for which in ("from", "to"):
        for seed in SEEDS:
            tree = tree_of()
            directories = {name: make(tree, name.encode(), mode=DIRECTORY) for name in ("from", "to")}
            tree.sync(tree.root)
            make(tree, b"file", directory=directories["from"])
            tree.rename(directories["from"], b"file", directories["to"], b"file")
            tree.sync(directories[which])
            tree.cut(seed)
            assert (list(directories["from"].entries), list(directories["to"].entries)) == ([], [b"file"])


def test_what_is_in_a_directory_whose_name_is_lost_is_lost_with_it() -> None:
    def prepare(tree: Tree) -> None:
        directory = make(tree, b"directory", mode=DIRECTORY)
        tree.sync(make(tree, b"file", b"content", directory))
        tree.sync(directory)

    assert {tuple(left) for left in after_each_cut(prepare)} == {(), (b"directory",)}


def test_pages_are_kept_in_any_choice() -> None:
    old, new = b"o" * 4 * PAGE, b"n" * 4 * PAGE

    def prepare(tree: Tree) -> None:
        tree.write(make_safe(tree, b"file", old), 0, new)

    seen = {tuple(left[b"file"][at] for at in range(0, 4 * PAGE, PAGE)) for left in after_each_cut(prepare)}
    assert len(seen) > 8
    assert {page for pages in seen for page in pages} == {ord("o"), ord("n")}


def test_what_is_old_was_written_by_the_kernel() -> None:
    for seed in SEEDS:
        clock = Clock()
        tree = tree_of(clock)
        make(tree, b"file", b"content")
        clock.now += WRITEBACK_SECONDS + 1
        tree.cut(seed)
        assert contents(tree) == {b"file": b"content"}


def test_the_same_seed_leaves_the_same() -> None:
    def prepare(tree: Tree) -> None:
        for number in range(10):
            make(tree, b"file %d" % number, b"content" * number * 1000)

    assert after_each_cut(prepare) == after_each_cut(prepare)


def test_a_cut_does_not_take_back_what_an_earlier_cut_has_left() -> None:
    for seed in SEEDS:
        tree = tree_of()
        make(tree, b"file", b"content")
        tree.cut(seed)
        left = contents(tree)
        tree.cut(seed + 1)
        assert contents(tree) == left


def test_a_full_disk_takes_what_needs_no_room() -> None:
    tree = tree_of()
    node = make(tree, b"file", b"content")
    tree.fill()
    tree.write(node, 0, b"CONTENT")
    with pytest.raises(NoRoom):
        tree.write(node, PAGE, b"more")
    tree.unlink(tree.root, b"file")
    make(tree, b"other", b"in the room of the first")
    tree.empty()
    assert tree.free == tree.capacity - PAGE


@given(
    steps=st.lists(st.tuples(st.integers(0, 3 * PAGE), st.integers(1, PAGE), st.sampled_from("wwts"))),
    seed=st.integers(0, 2**32),
)
def test_a_file_after_a_cut_is_of_its_synced_or_its_later_bytes(steps: list[tuple[int, int, str]], seed: int) -> None:
    tree = tree_of()
    node = make_safe(tree, b"file")
    safe = b""
    later = [b""]
    for number, (at, length, step) in enumerate(steps):
        match step:
            case "w":
                tree.write(node, at, bytes([number % 255 + 1]) * length)
            case "t":
                tree.resize(node, at)
            case _:
                tree.sync(node)
                safe, later = bytes(node.data), []
        later.append(bytes(node.data))
    tree.cut(seed)
    left = contents(tree)[b"file"]
    assert min(map(len, later)) <= len(left) <= max(len(safe), *map(len, later)) or left == safe
    if len(later) == 1 and later[0] == safe:
        assert left == safe
    for at, byte in enumerate(left):
        assert byte in {0, *(content[at] for content in (safe, *later) if at < len(content))}
