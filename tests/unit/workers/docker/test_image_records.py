"""Which images were brought for jobs: held while a job needs them, and told by their last use."""

from pathlib import Path

from tests.support.waiting import wait_until
from workers.docker import image_records
from workers.docker.image_records import ImageRecord


def _note(directory: Path, reference: str, image_id: str) -> None:
    held = image_records.hold(str(directory), reference)
    assert held is not None
    held.note(image_id)
    held.release()


def _ids(directory: Path) -> dict[str, tuple[str, ...]]:
    return {used.record.reference: used.record.ids for used in image_records.used_images(str(directory))}


def test_what_is_pulled_again_is_known_by_both_ids(tmp_path: Path) -> None:
    for image_id in ("sha256:a", "sha256:b", "sha256:b"):
        _note(tmp_path, "docker.io/library/x:1", image_id)

    assert _ids(tmp_path) == {"docker.io/library/x:1": ("sha256:a", "sha256:b")}


def test_an_image_that_was_only_used_is_not_the_agents(tmp_path: Path) -> None:
    held = image_records.hold(str(tmp_path), "docker.io/library/x:1")
    assert held is not None
    held.release()

    assert _ids(tmp_path) == {}


def test_a_held_image_is_not_unused(tmp_path: Path) -> None:
    _note(tmp_path, "x", "sha256:a")
    [used] = image_records.used_images(str(tmp_path))

    held = [image_records.hold(str(tmp_path), "x") for _ in range(2)]
    for one in held:
        with image_records.unused(used) as is_unused:
            assert not is_unused
        assert one is not None
        one.release()
    with image_records.unused(used) as is_unused:
        assert is_unused
        image_records.forget(used)
    with image_records.unused(used) as is_unused:
        assert not is_unused
    assert _ids(tmp_path) == {}


def test_the_least_recently_used_comes_first(tmp_path: Path) -> None:
    for reference in ("a", "b"):
        _note(tmp_path, reference, f"sha256:{reference}")
    before = {used.record.reference: used.used_at for used in image_records.used_images(str(tmp_path))}

    def used_again() -> bool:
        _note(tmp_path, "a", "sha256:a")
        return image_records.used_images(str(tmp_path))[-1].used_at > before["b"]

    wait_until(used_again, what="the clock of the file system goes on")

    assert list(_ids(tmp_path)) == ["b", "a"]


def test_a_broken_record_and_a_missing_directory_are_none(tmp_path: Path) -> None:
    assert _ids(tmp_path / "missing") == {}
    _note(tmp_path, "a", "sha256:a")
    [used] = image_records.used_images(str(tmp_path))
    Path(used.path).write_text("no record")

    assert _ids(tmp_path) == {}
    _note(tmp_path, "a", "sha256:b")
    assert _ids(tmp_path) == {"a": ("sha256:b",)}


def test_a_directory_that_cannot_be_made_costs_no_job(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file in its place")

    assert image_records.hold(str(tmp_path), "x") is None


def test_records_are_whole(tmp_path: Path) -> None:
    _note(tmp_path, "a" * 400, "sha256:a")
    _note(tmp_path, "a" * 400, "sha256:b")

    assert image_records.used_images(str(tmp_path))[0].record == ImageRecord("a" * 400, ("sha256:a", "sha256:b"))
