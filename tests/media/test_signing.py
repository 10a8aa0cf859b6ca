"""Content credentials of finished files, and the request at a user's first run."""

import importlib.util
import json

import pytest
import torch
from PIL import Image

from mimaface.cli.main import main
from mimaface.mimaface_core import write_video
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.marks import user
from mimaface.mimaface_core.media.marks.report import marks_in_file
from mimaface.mimaface_core.media.marks.sign import check_signing
from mimaface.mimaface_core.media.marks.user import request_consent, user_folder
from mimaface.mimaface_core.media.provenance import SOURCE_TYPE

FRAME = torch.full((256, 256, 3), 120, dtype=torch.uint8)
needs_c2pa = pytest.mark.skipif(importlib.util.find_spec("c2pa") is None, reason="needs the extra sign")


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "settings"))


def test_webm_says_that_it_cannot_carry_credentials(tmp_path, capsys):
    path = write_video(tmp_path / "a.webm", FRAME, 25)
    assert main(["sign", str(path)]) == 2
    assert "webm cannot carry content credentials; choose mp4" in capsys.readouterr().err
    with pytest.raises(InputError, match="webm"):
        check_signing(".webm")


@needs_c2pa
@pytest.mark.parametrize("suffix", ["mp4", "png", "gif"])
def test_a_signed_file_is_valid_and_names_photograph_action_and_watermark(tmp_path, suffix):
    import c2pa

    path = write_video(tmp_path / f"a.{suffix}", FRAME, 25)
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "me.jpg")
    assert main(["sign", str(path), "--source", str(tmp_path / "me.jpg")]) == 0
    assert marks_in_file(path).c2pa
    reader = c2pa.Reader(str(path))
    told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    text = json.dumps(manifest)
    assert told["validation_state"] == "Valid"
    assert SOURCE_TYPE in text and "c2pa.soft-binding" in text
    assert manifest["ingredients"][0]["relationship"] == "parentOf"
    assert (user_folder() / "signing.pem").stat().st_mode & 0o077 == 0


@needs_c2pa
def test_a_file_that_is_no_certificate_is_refused_and_nothing_changes(tmp_path, capsys):
    path = write_video(tmp_path / "a.png", FRAME, 25)
    before = path.read_bytes()
    (tmp_path / "no.pem").write_text("hello")
    assert main(["sign", str(path), "--certificate", str(tmp_path / "no.pem")]) == 2
    assert "is no certificate to sign with" in capsys.readouterr().err
    assert path.read_bytes() == before


@needs_c2pa
def test_only_own_files_are_signed(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert main(["sign", str(tmp_path / "a.png")]) == 2
    assert "was not made by this extension" in capsys.readouterr().err


def test_what_is_asked_of_users_is_shown_once(monkeypatch, caplog):
    for expected in (1, 1):
        monkeypatch.setattr(user, "_said", False)  # as in a new process
        request_consent()
        assert caplog.text.count("people who have agreed") == expected
