"""Mel spectrogram: that of the released code, whole and streamed."""

import numpy as np
import pytest
import torch
from support.parity import stored
from support.recordings import murmur, whole

from mimaface.mimaface_core.audio.mel import HOP, MELS, mel_spectrogram, mel_stream
from mimaface.mimaface_core.audio.speech import SAMPLE_RATE, Speech
from mimaface.mimaface_core.media import Audio


def test_parity_of_the_mel_spectrogram():
    theirs = stored("sadtalker")
    ours = mel_spectrogram(theirs["mel.in"])
    assert ours.shape == theirs["mel.out"].shape == (MELS, 161)
    assert (ours - theirs["mel.out"]).abs().max() < 1e-4 * theirs["mel.out"].abs().mean()


def test_a_mel_frame_is_centred_on_its_sample_and_silence_is_the_floor():
    click = torch.zeros(SAMPLE_RATE)
    click[40 * HOP] = 1
    spectrum = mel_spectrogram(click)
    assert spectrum.shape == (MELS, 81) and spectrum.mean(0).argmax() == 40
    assert (spectrum[:, [37, 43]] == -4).all() and (mel_spectrogram(torch.zeros(799)) == -4).all()
    tones = [
        mel_spectrogram(torch.sin(torch.arange(SAMPLE_RATE) * 2 * np.pi * hz / SAMPLE_RATE))[:, 40]
        for hz in (200, 1000, 4000)
    ]
    bands = [int(tone.argmax()) for tone in tones]
    assert bands == sorted(bands) and bands[1] - bands[0] > 10 < bands[2] - bands[1]


@pytest.mark.parametrize("count", [1, 199, 200, 399, 401, 799, 800, 1000, 3 * SAMPLE_RATE, 3 * SAMPLE_RATE + 77])
def test_the_streamed_mel_equals_the_whole_one(count):
    wave = murmur(4)[:, 5000 : 5000 + count] + 0.01
    speech = Speech.of(Audio(wave, SAMPLE_RATE))
    assert torch.allclose(torch.cat(list(mel_stream(speech, normalised=False))).T, mel_spectrogram(wave[0]), atol=1e-5)
    assert sum(map(len, mel_stream(speech))) == 1 + speech.samples // HOP

    class Crumbs(Speech):
        def blocks(self, normalised=True):
            for block in super().blocks(normalised):
                yield from block.split(333)

    crumbs = Crumbs(speech.audio, speech.seconds, speech.level_db)
    assert torch.allclose(torch.cat(list(mel_stream(crumbs))), mel_spectrogram(whole(speech, True)).T, atol=1e-5)
