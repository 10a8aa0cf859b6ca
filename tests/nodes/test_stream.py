"""Stream: what is known of the driver is kept from run to run of the queue, for each node, source and pack."""

import numpy as np
import pytest
import torch
from support.scenes import moved, needs_faces, noise, portrait_source
from support.tiny_implicit import source_of, write_tiny_implicit
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit_pipeline import encode_implicit, load_implicit
from mimaface.mimaface_core.packs.adapted import AdaptedPack
from mimaface.nodes import stream as module
from mimaface.nodes.comfyui.schema import io
from mimaface.nodes.stream import Stream, kept_stream

pytestmark = needs_faces


@pytest.fixture(autouse=True)
def nothing_kept():
    module._kept.clear()


@pytest.fixture(scope="module")
def pack():
    return load_implicit()


@pytest.fixture(scope="module")
def source(pack):
    return encode_implicit(pack, torch.tensor(moved()) / 255)


def run(pack, source, *angles, node="7", reset=False):
    images = [noise() if angle is None else moved(angle, 1, (0, 0)) for angle in angles]
    driver = torch.from_numpy(np.reshape(images, (-1, 256, 256, 3))) / 255
    clone = Stream.PREPARE_CLASS_CLONE({io.Hidden.unique_id: node})
    return clone.EXECUTE_NORMALIZED(pack=pack, source=source, driver=driver, reset=reset, tracker="bundled").args


def test_a_second_run_goes_on_where_the_first_ended(pack, source):
    still = (source.crop.permute(1, 2, 0) + 1) / 2
    first, found = run(pack, source, 0)
    assert found and first.shape == (1, 512, 512, 3) and (first[0] - still).abs().max() < 0.02
    turned, found = run(pack, source, 8, None)
    assert not found and torch.equal(turned[0], turned[1]) and (turned[0] - still).abs().mean() > 0.005
    alone, _ = run(pack, source, 8, node="8")  # another node, for which this is the first face
    assert (alone[0] - still).abs().max() < 0.02
    again, _ = run(pack, source, 8, reset=True)
    assert (again[0] - still).abs().max() < 0.02


def test_equal_sources_are_one_stream_and_few_are_kept(tmp_path):
    pack = write_tiny_implicit(tmp_path)
    kept = kept_stream("1", pack, source_of(pack), "bundled")
    assert kept_stream("1", type(pack).load(pack.folder), source_of(pack), "bundled") is kept
    others = [kept_stream("1", pack, source_of(pack, seed), "bundled") for seed in range(1, module.MOST_STREAMS + 1)]
    assert kept not in others and len(module._kept) == module.MOST_STREAMS
    assert kept_stream("1", pack, source_of(pack), "bundled") is not kept


def test_a_pack_with_another_autoencoder_is_another_stream(tmp_path):
    pack = write_tiny_pack(tmp_path)
    kept = kept_stream("1", pack, portrait_source(), "bundled")
    assert kept_stream("1", type(pack).load(pack.folder), portrait_source(), "bundled") is kept
    adapted = AdaptedPack(pack, taesd=(tmp_path / "vae.safetensors",))
    assert kept_stream("1", adapted, portrait_source(), "bundled") is not kept


def test_without_diffusion_is_another_stream_which_waits_for_no_frame(tmp_path):
    pack = write_tiny_pack(tmp_path)
    by_clips, at_once = (kept_stream("1", pack, portrait_source(), "bundled", diffuse) for diffuse in (True, False))
    assert by_clips.latency > 0 == at_once.latency


def test_no_image_and_a_source_of_another_pack_are_refused(tmp_path, pack, source):
    with pytest.raises(InputError, match="driver has no image"):
        run(pack, source)
    with pytest.raises(InputError, match="source"):
        run(write_tiny_implicit(tmp_path), portrait_source(), 0)
