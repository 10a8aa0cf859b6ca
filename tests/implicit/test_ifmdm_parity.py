"""IF-MDM's networks and sampling against stored outputs of the published code."""

import pytest
import torch
from support.ifmdm import picture, state_dict
from support.parity import noise, off, stored
from torch.nn import functional as F

from mimaface.mimaface_core.implicit.discriminator import Discriminator
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.render import refined
from mimaface.mimaface_core.implicit.sampler import Schedule, alphas_cumprod, sample
from mimaface.mimaface_core.implicit.transformer import MotionTransformer
from mimaface.mimaface_core.training.models.implicit_generator import adversarial_losses
from mimaface.mimaface_core.training.models.implicit_transformer import TransformerModel
from mimaface.mimaface_core.training.models.perceptual import PerceptualLoss

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_stage_1_draws_as_published():
    outputs = stored("ifmdm")
    generator = Generator(512)
    generator.load_state_dict(state_dict("ifmdm_generator"))
    source, driver, start = (generator.enc(picture(name, 512)) for name in ("if_source", "if_driver", "if_start"))
    codes = torch.cat([source.motion, driver.motion, start.motion])
    features = [F.adaptive_avg_pool2d(part[:, :: part.shape[1] // 32], 8) for part in source.features]
    dec = generator.dec
    coarse = dec.coarse(source.style, source.features, [driver.motion])
    relative = dec.coarse(source.style, source.features, [driver.motion, source.motion, start.motion])
    part = (slice(None), slice(None), slice(240, 272), slice(240, 272))
    image = refined(generator, coarse)
    ours = {
        "style": source.style,
        "feats": torch.cat(features),
        "motion": codes,
        "directions": dec.direction.basis(),
        "moves": dec.direction(codes),
        "coarse": F.avg_pool2d(coarse, 8),
        "coarse_crop": coarse[part],
        "coarse_relative": F.avg_pool2d(relative, 8),
        "coarse_none": F.avg_pool2d(dec.coarse(source.style, source.features), 8),
        "image": F.avg_pool2d(image, 8),
        "image_crop": image[part],
    }
    for name, value in ours.items():
        theirs = outputs[f"stage1.{name}"]
        assert off(value.reshape(theirs.shape), theirs) < TOLERANCE, name


def test_the_256_pixel_network_draws_as_published():
    outputs = stored("ifmdm")
    generator = Generator(256)
    generator.load_state_dict(state_dict("ifmdm_generator_256"))
    source, driver = (generator.enc(picture(name, 256, 2)) for name in ("if_source256", "if_driver256"))
    coarse = generator.dec.coarse(source.style, source.features, [driver.motion])
    assert off(F.avg_pool2d(coarse, 8), outputs["stage1.coarse256"]) < TOLERANCE
    assert off(F.avg_pool2d(refined(generator, coarse), 8), outputs["stage1.image256"]) < TOLERANCE


def test_the_discriminator_scores_as_published():
    outputs = stored("ifmdm")
    discriminator = Discriminator(512)
    discriminator.load_state_dict(state_dict("ifmdm_discriminator"))
    real, fake = (discriminator(picture(name, 512, 2)) for name in ("if_real", "if_fake"))
    assert off(real, outputs["stage1.real_score"]) < TOLERANCE
    assert off(fake, outputs["stage1.fake_score"]) < TOLERANCE


@pytest.fixture(scope="module")
def transformer():
    network = MotionTransformer()
    network.load_state_dict(state_dict("ifmdm_dit"))
    return network.eval()


def test_stage_2_predicts_as_published(transformer):
    outputs = stored("ifmdm")
    told = (
        noise("if_x", 2, 64, 20),
        torch.tensor([17, 803]),
        noise("if_audio", 2, 128, 768),
        noise("if_hint", 2, 1, 20),
    )
    statistics = (noise("if_mean", 2, 1, 20), noise("if_std", 2, 1, 20).abs())
    assert off(transformer(*told, *statistics), outputs["stage2.out"]) < TOLERANCE
    assert off(transformer(*told), outputs["stage2.out_free"]) < TOLERANCE
    assert off(transformer.guided(*told, *statistics, 3.0), outputs["stage2.guided"]) < TOLERANCE


@pytest.mark.parametrize(("count", "sampler", "name"), [(5, "ancestral", "5"), (50, "ancestral", "50"),
                                                         (5, "ddim", "ddim5"), (50, "ddim", "ddim50")])  # fmt: skip
def test_the_noise_schedule_is_the_published_one(count, sampler, name):
    outputs = stored("ifmdm")
    schedule = Schedule.of(count, sampler)
    assert torch.equal(schedule.steps, outputs[f"schedule.timesteps_{name}"].long())
    assert torch.allclose(schedule.betas, outputs[f"schedule.betas_{name}"], atol=1e-12)
    assert torch.allclose(alphas_cumprod(), outputs["schedule.alphas_cumprod"], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "sampler", "clamp", "mean", "deviation"),
    [("ancestral", "ancestral", False, "source", 0.3), ("ddim", "ddim", False, None, None),
     ("follow", "ancestral", True, "hint", 0.1)],
)  # fmt: skip
def test_two_windows_are_sampled_as_published(transformer, name, sampler, clamp, mean, deviation):
    outputs = stored("ifmdm")
    source, speech = 0.3 * noise("if_source_motion", 1, 1, 20), noise("if_speech", 1, 256, 768)
    hint, windows = source, []
    for number in range(2):
        draws = iter(range(1, 100))

        def draw(number=number, draws=draws):
            return noise(f"if_z{number}_{next(draws)}", 1, 64, 20)

        statistics = (
            {"source": source, "hint": hint, None: None}[mean],
            None if deviation is None else torch.full((1, 1, 20), deviation),
        )

        def network(codes, t, told=(speech[:, 128 * number : 128 * number + 128], hint, *statistics)):
            return transformer.guided(codes, t, *told, 2.5)

        start = noise(f"if_init{number}", 1, 64, 20)
        codes = sample(network, start, Schedule.of(5, sampler), draw, clamp)
        windows.append(codes[0])
        hint = codes[:, -1:]
    assert off(torch.cat(windows), outputs[f"sample.{name}"]) < 1e-3


def test_stage_2_is_trained_as_published(transformer):
    outputs = stored("ifmdm")
    clip = torch.tanh(0.3 * noise("if_clip", 2, 65, 20))
    speech, epsilon, t = noise("if_clip_audio", 2, 130, 768), noise("if_eps", 2, 64, 20), torch.tensor([0, 640])
    error, bound = TransformerModel(transformer).losses(clip, speech, t, epsilon)
    assert off(error, outputs["train.mse"]) < TOLERANCE
    assert off(bound, outputs["train.vb"]) < 1e-3  # logarithms of small probabilities
    assert off(error + bound, outputs["train.loss"]) < 1e-3


def test_the_perceptual_loss_is_as_published():
    outputs, loss = stored("ifmdm"), PerceptualLoss()
    values = state_dict("ifmdm_vgg19")
    loss.features.load_state_dict({name: values[f"features.{name}"] for name in loss.features.state_dict()})
    made, real = picture("if_fake256", 256), picture("if_real256", 256)
    assert off(loss.terms(made, real), outputs["stage1.vgg_terms"]) < TOLERANCE
    assert off(loss(made, real).view(1), outputs["stage1.loss_vgg"]) < TOLERANCE
    assert off((made - real).abs().mean().view(1), outputs["stage1.loss_l1"]) < TOLERANCE


def test_adversarial_losses_are_as_published():
    outputs, discriminator = stored("ifmdm"), Discriminator(512)
    discriminator.load_state_dict(state_dict("ifmdm_discriminator"))
    losses = adversarial_losses(discriminator, picture("if_fake", 512, 2), picture("if_real", 512, 2))
    assert off(losses["critic"].view(1), outputs["stage1.loss_d"]) < TOLERANCE
    assert off(losses["fooled"].view(1), outputs["stage1.loss_g"]) < TOLERANCE
