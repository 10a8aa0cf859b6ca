"""Content credentials of finished files, and the request at a user's first run."""

import importlib.util
import json
import sys

import pytest
import torch
from PIL import Image

from mimaface.cli.main import main
from mimaface.mimaface_core import host, write_video
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.marks import user
from mimaface.mimaface_core.media.marks.report import marks_in_file
from mimaface.mimaface_core.media.marks.sign import check_signing
from mimaface.mimaface_core.media.marks.user import request_consent, user_folder
from mimaface.mimaface_core.media.provenance import SOURCE_TYPE
from mimaface.nodes.combine_video import CombineVideo

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
@pytest.mark.parametrize(("format", "count"), [("mp4", 3), ("gif", 3), ("png", 3), ("mp4", 1)])
def test_combine_video_signs_what_it_has_written_as_the_last_step(tmp_path, format, count):
    import c2pa

    frames = FRAME[None].expand(count, -1, -1, -1) / 255
    with host.use(host.Host(inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        CombineVideo.execute(frames, "a", format, 0.0, sign=True, photograph=frames)
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(files) == (3 if format == "png" else 1)
    for file in files:
        told = json.loads(c2pa.Reader(str(file)).json())
        assert told["validation_state"] == "Valid"
        assert told["manifests"][told["active_manifest"]]["ingredients"][0]["title"] == "photograph"


@needs_c2pa
def test_detect_says_whether_credentials_fit_the_file(tmp_path, capsys):
    path = write_video(tmp_path / "a.png", FRAME, 25)
    assert main(["sign", str(path)]) == 0
    changed = tmp_path / "b.png"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1  # within the pixels' last chunk
    changed.write_bytes(content)
    main(["detect", str(path), str(changed)])
    lines = capsys.readouterr().out.splitlines()
    whole, broken = json.loads(lines[-1])["files"]
    assert whole["credentials"] == {"state": "Valid", "generator": "MIMAFace", "source_types": [SOURCE_TYPE]}
    assert any("content credentials by MIMAFace, whole" in line for line in lines)
    assert broken.get("error") or broken["credentials"]["state"] == "Invalid"


@needs_c2pa
def test_combine_video_refuses_to_sign_webm_before_anything_is_drawn(monkeypatch):
    assert CombineVideo.validate_inputs(format="mp4", sign=True) is True
    assert "webm cannot carry content credentials" in CombineVideo.validate_inputs(format="webm", sign=True)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert "pip install" in CombineVideo.validate_inputs(format="mp4", sign=True)
    assert CombineVideo.validate_inputs(format="webm", sign=False) is True


def certificate_of(tmp_path, days):
    """A PEM file whose leaf has been valid for so many days, from long ago on."""
    from mimaface.mimaface_core.media.marks import sign

    file = tmp_path / "chain.pem"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign, "_DAYS", days)
        file.write_bytes(sign._new_chain())
    return file


@needs_c2pa
@pytest.mark.parametrize("fault", ["text", "missing", "folder", "binary", "key of another", "locked key", "expired"])
def test_a_bad_certificate_is_refused_in_one_sentence_and_nothing_changes(tmp_path, capsys, fault):
    path, file = write_video(tmp_path / "a.png", FRAME, 25), certificate_of(tmp_path, -0.5 if fault == "expired" else 9)
    before, chain = path.read_bytes(), file.read_bytes()
    key = chain.index(b"-----BEGIN PRIVATE")
    if fault == "missing":
        file.unlink()
    elif fault == "folder":
        file = tmp_path
    elif fault != "expired":
        other = certificate_of(tmp_path, 9).read_bytes()
        file.write_bytes(
            {
                "text": b"hello",
                "binary": bytes(range(256)),
                "key of another": chain[:key] + other[other.index(b"-----BEGIN PRIVATE") :],
                "locked key": chain.replace(b" PRIVATE KEY", b" ENCRYPTED PRIVATE KEY"),
            }[fault]
        )
    assert main(["sign", str(path), "--certificate", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said, said
    assert path.read_bytes() == before and len(list(tmp_path.glob("*"))) <= 3


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
