"""Input files found, output paths numbered, unwritable folders refused."""

import pytest

from mimaface.headless.files import find_input, free_path, require_writable
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.output_path import next_output_path


def test_numbers_continue_from_existing_files_and_paths_stay_in_the_folder(tmp_path):
    assert next_output_path(tmp_path, "a/b_%width%", 64).file(".mp4") == tmp_path / "a/b_64_00001_.mp4"
    (tmp_path / "a/b_64_00007_.mp4").touch()
    place = next_output_path(tmp_path, "a/b_64")
    assert (place.file(".png", 1).name, place.subfolder) == ("b_64_00009_.png", "a")
    for outside in ("../x", "/x", ""):
        with pytest.raises(InputError, match="leaves the output folder"):
            next_output_path(tmp_path / "a", outside)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        next_output_path(tmp_path, "file/x")
    assert free_path(tmp_path / "file") == tmp_path / "file-1"


def test_files_are_found_in_folders_and_unwritable_folders_refused(tmp_path):
    (tmp_path / "face.png").touch()
    assert find_input("face.png [input]", [tmp_path]) == tmp_path / "face.png"
    assert find_input("", [tmp_path]) is None
    require_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="choose another"):
        require_writable(tmp_path / "face.png" / "inside")


def test_names_that_no_file_can_have_are_refused(tmp_path):
    assert find_input("a" * 300 + ".jpg", [tmp_path]) is None
    assert find_input("~nobody-of-that-name/a.jpg", [tmp_path]) is None
    with pytest.raises(InputError, match="The output folder .*… cannot|The output folder .*…a+ cannot"):
        require_writable(tmp_path / ("a" * 300))
    require_writable(tmp_path / "new" / "folder")
