"""IF-MDM with small networks: windows that join, streams, files, and what is refused."""

import argparse
import pickle
from fractions import Fraction

import pytest
import torch
from safetensors.torch import save_file

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.checkpoint import load_generator, load_transformer
from mimaface.mimaface_core.implicit.face_codes import NAMES, SHUT, completed_blinks, movement_of
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.render import encode_source, refined, render_motion
from mimaface.mimaface_core.implicit.speech import Speaker, SpeakSettings, speak
from mimaface.mimaface_core.implicit.transformer import VARIANTS, MotionTransformer, Variant
from mimaface.mimaface_core.motion.track import MotionTrack


@pytest.fixture(scope="module")
def transformer(request):
    """A small transformer whose codes depend on speech and hint."""
    torch.manual_seed(0)
    VARIANTS["tiny"] = Variant(1, 32, 2)
    request.addfinalizer(lambda: VARIANTS.pop("tiny"))
    network = MotionTransformer("tiny", 4)
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    return Generator(256, 4).eval()


def speech(frames, seed=0):
    return torch.randn(2 * frames, 768, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [1, 7, 64, 65, 120, 200])
@pytest.mark.parametrize("overlap", [0, 8])
def test_there_are_as_many_codes_as_frames_of_speech(transformer, frames, overlap):
    settings = SpeakSettings(steps=2, overlap=overlap)
    codes = torch.cat(list(speak(transformer, torch.zeros(4), [speech(frames)], settings)))
    assert codes.shape == (frames, 4) and codes.isfinite().all()


def test_speech_may_come_in_blocks_of_any_size(transformer):
    settings, whole = SpeakSettings(steps=3, seed=5), speech(150)
    at_once = torch.cat(list(speak(transformer, torch.zeros(4), [whole], settings)))
    in_blocks = torch.cat(list(speak(transformer, torch.zeros(4), whole.split(22), settings)))
    assert torch.allclose(at_once, in_blocks, atol=1e-6)
    assert Speaker(transformer, torch.zeros(4), SpeakSettings(wait=25)).latency == 1


def test_seeds_repeat_and_differ(transformer):
    def codes(seed):
        return torch.cat(list(speak(transformer, torch.zeros(4), [speech(70)], SpeakSettings(steps=2, seed=seed))))

    assert torch.equal(codes(1), codes(1)) and not torch.allclose(codes(1), codes(2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 60, "sampler": "ddim"}, "60 steps"),
        ({"sampler": "euler"}, "euler"),
        ({"mean": "calm"}, "calm"),
        ({"deviation": float("nan")}, "0.1 is calm"),
        ({"deviation": 1.5}, "0.1 is calm"),
        ({"deviation": torch.tensor([0.1, float("nan")])}, "0.1 is calm"),
        ({"mean": torch.tensor([0.1, float("nan")])}, "from −1 to 1"),
        ({"mean": torch.tensor([0.1, 1.5])}, "from −1 to 1"),
        ({"overlap": 40}, "0 to 32"),
    ],
)
def test_settings_out_of_range_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        SpeakSettings(**options)


@pytest.mark.parametrize("frames", [1, 63, 65])
def test_a_window_of_another_length_is_refused(transformer, frames):
    with pytest.raises(InputError, match=f"windows of 64 frames, not {frames}"):
        transformer(torch.zeros(1, frames, 4), torch.zeros(1), speech(frames)[None], torch.zeros(1, 1, 4))


def test_speech_of_another_width_is_refused(transformer):
    with pytest.raises(InputError, match="768"):
        Speaker(transformer, torch.zeros(4)).add(torch.zeros(10, 512))


def test_statistics_may_be_those_of_a_reference(transformer):
    def codes(settings):
        return torch.cat(list(speak(transformer, torch.zeros(4), [speech(70)], settings)))

    free = SpeakSettings(steps=2, mean="free")
    reference = ImplicitMotion(torch.linspace(-0.5, 0.5, 40).reshape(10, 4))
    like = free.like(reference)
    assert torch.equal(like.mean, reference.mean) and torch.equal(like.deviation, reference.deviation)
    assert not torch.allclose(codes(free), codes(like))
    with pytest.raises(InputError, match="3 dimensions of motion, but this pack's has 4"):
        codes(free.like(ImplicitMotion(torch.zeros(5, 3))))


def test_relative_motion_of_the_source_itself_is_the_source(generator):
    picture = torch.rand(1, 3, 256, 256) * 2 - 1
    source = encode_source(generator, picture)
    still = ImplicitMotion(source.motion.repeat(2, 1))
    absolute = torch.cat(list(render_motion(generator, source, still, "absolute", refine=False)))
    relative = torch.cat(list(render_motion(generator, source, still, "relative", refine=False)))
    assert torch.allclose(absolute, relative, atol=1e-3) and absolute.shape == (2, 3, 256, 256)
    with pytest.raises(InputError, match="256 × 256"):
        encode_source(generator, picture[..., :128, :128])
    with pytest.raises(InputError, match="dimensions"):
        next(render_motion(generator, source, ImplicitMotion(torch.zeros(2, 7))))


def test_tiles_of_the_refine_block_leave_no_seam(generator):
    frames = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        at_once = generator.dec.refine_block(frames)
        assert torch.allclose(refined(generator, frames, 24), at_once, atol=1e-5)


def test_motion_is_saved_loaded_cut_and_resampled(tmp_path):
    motion = ImplicitMotion(torch.rand(30, 4) - 0.5, Fraction(30000, 1001))
    motion.save(tmp_path / "m.safetensors")
    again = ImplicitMotion.load(tmp_path / "m.safetensors")
    assert torch.equal(again.codes, motion.codes) and again.fps == motion.fps
    assert len(motion[5:9]) == 4 and len(motion.resample(Fraction(15))) == 15
    assert torch.allclose(motion.deviation, motion.codes.std(0))
    with pytest.raises(InputError, match="finite"):
        ImplicitMotion(torch.full((2, 4), float("nan")))


def test_groups_of_a_motion_are_kept_in_its_file_and_checked(tmp_path):
    motion = ImplicitMotion(torch.zeros(3, 4), groups={"head": [0, 1], "mouth": [2]})
    motion.save(tmp_path / "m.safetensors")
    assert ImplicitMotion.load(tmp_path / "m.safetensors").groups == motion.groups == motion[1:].groups
    assert motion.resample(Fraction(50)).groups == motion.groups
    for groups in ({"hair": [0]}, {"head": [4]}, {"head": [0], "eyes": [0]}):
        with pytest.raises(InputError, match="groups"):
            ImplicitMotion(torch.zeros(3, 4), groups=groups)
    for text in ("nonsense", "[1]", '{"head": 3}'):
        notes = {"format": "mimaface.implicit.1", "fps": "25", "groups": text}
        save_file({"codes": torch.zeros(3, 4)}, tmp_path / "bad.safetensors", notes)
        with pytest.raises(InputError, match="groups cannot be read"):
            ImplicitMotion.load(tmp_path / "bad.safetensors")


def test_motions_of_the_two_methods_are_not_mixed(tmp_path):
    from support.tracks import track

    track().save(tmp_path / "track.safetensors")
    ImplicitMotion(torch.zeros(3, 4)).save(tmp_path / "implicit.safetensors")
    with pytest.raises(InputError, match="holds no implicit motion"):
        ImplicitMotion.load(tmp_path / "track.safetensors")
    with pytest.raises(InputError):
        MotionTrack.load(tmp_path / "implicit.safetensors")


@pytest.mark.parametrize(
    ("codes", "rate", "words"),
    [
        (torch.zeros(2, 4), "1/0", "its frame rate '1/0' is not a number from 0.01 to 1000"),
        (torch.zeros(2, 4), None, "not whole: fps is missing"),
        (torch.full((2, 4), float("inf")), "25", "codes hold values that are no finite numbers"),
        (torch.zeros(2, 4, dtype=torch.bool), "25", "codes are of type bool, not numbers"),
        (torch.zeros(8), "25", "of shape"),
    ],
)
def test_a_motion_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, codes, rate, words):
    notes = {"format": "mimaface.implicit.1"} | ({} if rate is None else {"fps": rate})
    save_file({"codes": codes}, tmp_path / "m.safetensors", notes)
    with pytest.raises(InputError, match=words):
        ImplicitMotion.load(tmp_path / "m.safetensors")


def test_the_authors_checkpoints_load_without_running_code(tmp_path, generator, transformer):
    names = argparse.Namespace(size=256, latent_dim_motion=4)
    stage1 = {"gen": generator.state_dict(), "dis": {}, "g_optim": {}, "d_optim": {}, "args": names}
    torch.save(stage1, tmp_path / "001000.pt")
    loaded = load_generator(tmp_path / "001000.pt")
    assert loaded.size == 256 and loaded.dimensions == 4
    assert torch.equal(loaded.dec.direction.weight, generator.dec.direction.weight)

    state = transformer.state_dict()
    other = {key: value + 1 for key, value in state.items()}
    torch.save({"model": other, "ema": state, "opt": {}, "args": names}, tmp_path / "0001000.pt")
    assert torch.equal(
        load_transformer(tmp_path / "0001000.pt").x_embedder.mlp[0].weight, state["x_embedder.mlp.0.weight"]
    )


class Malicious:
    def __reduce__(self):
        return (print, ("code was run",))


def test_other_checkpoints_are_refused_in_a_sentence(tmp_path, generator, transformer, capsys):
    state = generator.state_dict()
    cases = {
        "lia.pt": ({"gen": {k: v for k, v in state.items() if ".conv_gen." not in k}}, "LIA"),
        "other.pt": ({"gen": {"a": torch.zeros(2)}}, "no generator"),
        "wrong.pt": ({"gen": {**state, "dec.conv1.noise.weight": torch.zeros(3)}}, "does not fit"),
        "code.pt": ({"gen": state, "args": Malicious()}, "asks for code"),
    }
    for name, (content, words) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(InputError, match=words):
            load_generator(tmp_path / name)
    whole = (tmp_path / "wrong.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "list.pt").write_bytes(pickle.dumps([1]))
    for name in ("cut.pt", "list.pt", "missing.pt"):
        with pytest.raises(InputError):
            load_generator(tmp_path / name)
    with pytest.raises(InputError, match="no state dict"):
        load_transformer(tmp_path / "wrong.pt")
    assert "code was run" not in capsys.readouterr().out


def test_half_done_blinks_shut_and_lids_rest_where_the_photograph_has_them():
    lids = [NAMES.index("lid_right"), NAMES.index("lid_left")]
    posture = torch.zeros(len(NAMES))
    posture[lids] = -0.1
    own = movement_of(posture[None])[0, lids[0]]
    share = torch.tensor([-0.3, 0.0, 0.19, 0.3, 0.55, 0.9])
    codes = 0.1 * torch.ones(len(share), len(NAMES))
    codes[:, lids] = (own + share[:, None] * (SHUT - own)).tanh()
    done = completed_blinks(codes, posture)
    reached = (movement_of(done)[:, lids] - own) / (SHUT - own)
    assert torch.allclose(reached[[0, 1, 2, 4, 5]], torch.tensor([-0.3, 0, 0, 1, 1])[:, None].expand(-1, 2), atol=1e-5)
    assert (reached[3] > 0).all() and (reached[3] < share[3]).all()
    others = [i for i in range(len(NAMES)) if i not in lids]
    assert torch.equal(done[:, others], codes[:, others])
