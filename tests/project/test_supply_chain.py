"""What the project hands out: hashes of bundled files, archives without paths outside."""

import io
import runpy
import subprocess
import tarfile
import zipfile

import pytest
from support.checkout import ROOT

hashes = runpy.run_path(str(ROOT / "tools" / "write_hashes.py"))
archives = runpy.run_path(str(ROOT / "tools" / "check_archive.py"))
needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone")


@needs_git
def test_every_bundled_file_is_the_one_that_the_record_of_hashes_names():
    written = (ROOT / "SHA256SUMS").read_text(encoding="utf-8")
    assert written == hashes["sums"](hashes["bundled"]()), "python tools/write_hashes.py, if the change is meant"
    assert "mimaface_core/packs/bundled/unet.safetensors" in written


@needs_git
def test_the_archive_of_the_repository_has_nothing_outside(tmp_path):
    path = tmp_path / "mimaface.tar"
    subprocess.run(["git", "archive", "--prefix=mimaface/", "-o", path, "HEAD"], cwd=ROOT, check=True)
    assert archives["faults"](path) == []


@pytest.mark.parametrize(
    "name", ["../evil.py", "mimaface/../../evil.py", "/etc/evil", "C:/evil", "mimaface\\..\\evil", "evil.pth"]
)
def test_a_wheel_with_a_path_outside_is_refused(tmp_path, name):
    path = tmp_path / "mimaface-1.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("mimaface/__init__.py", "")
        wheel.writestr("mimaface-1.dist-info/METADATA", "")
    assert archives["main"]([str(path)]) == 0
    with zipfile.ZipFile(path, "a") as wheel:
        entry = zipfile.ZipInfo()
        entry.filename = name
        wheel.writestr(entry, "")
    assert archives["main"]([str(path)]) == 1


def test_an_archive_with_a_link_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        plain = tarfile.TarInfo("mimaface/a.txt")
        archive.addfile(plain, io.BytesIO())
        link = tarfile.TarInfo("mimaface/b")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    assert archives["faults"](path) == ["a.tar.gz: 'mimaface/b' is a link or device"]
