"""Files that are whole or absent."""

import pytest

from mimaface.mimaface_core.files import replacing, scratch_folder


def test_a_written_file_replaces_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with replacing(path) as part:
        assert part.parent == tmp_path and part.suffix == ".json" and not part.exists()
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_file_is_absent_and_the_one_before_stays(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(error), replacing(path) as part:
        part.write_text("aft")
        raise error
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError), replacing(path):
        pass  # nothing was written
    assert path.read_text() == "before"


def test_names_of_the_greatest_length_can_be_replaced(tmp_path):
    path = tmp_path / (250 * "a" + ".json")
    with replacing(path) as part:
        part.write_text("whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize("error", [None, OSError, KeyboardInterrupt])
def test_a_scratch_folder_disappears_with_its_content(tmp_path, error):
    try:
        with scratch_folder(tmp_path) as folder:
            (folder / "below").mkdir()
            (folder / "below" / "a").touch()
            (folder / "b").touch()
            (folder / "b").rename(tmp_path / "moved")
            if error is not None:
                raise error
    except (OSError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]
