"""WaveNet, Tacotron 2, ECAPA-TDNN, HiFi-GAN: what parity with other libraries does not show."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau_audio import models


def wavenet(**options):
    fb.manual_seed(0)
    model = models.WaveNet(6, 4, 2, 6, 8, 5, **options)
    for parameter in model.parameters():
        fb.nn.init.normal_(parameter, 0.0, 0.6)
    return model.eval()


def test_wavenet_sees_only_the_past():
    model = wavenet(kernel_size=3)
    assert model.receptive_field == 2 * (2 + 4) + 1
    x = np.random.default_rng(0).integers(0, 6, (1, 30))
    with fb.no_grad():
        whole = model(fb.tensor(x)).numpy()
        for place in (10, 29):
            other = x.copy()
            other[0, place] = (other[0, place] + 1) % 6
            changed = np.abs(model(fb.tensor(other)).numpy() - whole).max((0, 1)) > 1e-6
            reach = np.arange(30)[changed]
            assert (reach > place).all() and (reach <= place + model.receptive_field).all() and (place == 29 or len(reach) > 5)


@pytest.mark.parametrize(
    "options",
    [dict(), dict(kernel_size=3), dict(cin_channels=3, gin_channels=2, upsample_scales=(3, 2))],
    ids=["plain", "wide", "conditions"],
)
def test_wavenet_generates_what_it_scores(options):
    """Greedy samples are the likeliest of the scores for them; drawn ones are those of the same random numbers."""
    model, rng = wavenet(**options), np.random.default_rng(1)
    c = fb.tensor(rng.standard_normal((2, 3, 5)).astype(np.float32)) if "cin_channels" in options else None
    g = fb.tensor(rng.standard_normal((2, 2)).astype(np.float32)) if c is not None else None
    found = model.generate(26, c, g, temperature=0, batch=2)
    assert found.shape == (2, 26)
    with fb.no_grad():
        np.testing.assert_array_equal(model(found, c, g).argmax(1).numpy(), found.numpy())
        drawn = model.generate(26, c, g, temperature=0.7, batch=2, generator=fb.Generator().manual_seed(3))
        again = model.generate(26, c, g, temperature=0.7, batch=2, generator=fb.Generator().manual_seed(3))
        np.testing.assert_array_equal(drawn.numpy(), again.numpy())
        noise = -(-fb.rand(26, 2, 6, generator=fb.Generator().manual_seed(3)).clamp(1e-20, 1 - 1e-7).log()).log()
        scores = model(drawn, c, g).permute(2, 0, 1) / 0.7 + noise
        np.testing.assert_array_equal(scores.argmax(2).t().numpy(), drawn.numpy())


def test_wavenet_draws_in_proportion():
    model = wavenet()
    with fb.no_grad():
        expected = model(fb.zeros(1, 1, dtype=fb.int64)).softmax(1)[0, :, 0].numpy()
    drawn = model.generate(1, batch=4000, generator=fb.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(np.bincount(drawn[:, 0], minlength=6) / 4000, expected, atol=0.03)


def test_wavenet_refuses():
    with pytest.raises(ArgumentError, match="equal stacks"):
        models.WaveNet(layers=5, stacks=2)
    model = wavenet(cin_channels=3, upsample_scales=(4,))
    x = fb.zeros(1, 8, dtype=fb.int64)
    with pytest.raises(ShapeError, match="c with 3 channels, got none"):
        model(x)
    with pytest.raises(ShapeError, match=r"for 8 samples, got one for 4.*4 samples a frame"):
        model(x, fb.zeros(1, 3, 1))
    with pytest.raises(ShapeError, match="no g"):
        model(x, fb.zeros(1, 3, 2), fb.zeros(1, 2))
    with pytest.raises(ArgumentError, match="temperature of 0 or more"):
        model.generate(4, fb.zeros(1, 3, 1), temperature=-1)


def test_tacotron2_learns_one_sentence():
    fb.manual_seed(0)
    model = models.Tacotron2(
        n_mels=4, n_symbol=6, symbol_embedding_dim=8, encoder_embedding_dim=8, encoder_n_convolution=1, decoder_rnn_dim=16,
        attention_rnn_dim=16, attention_hidden_dim=8, attention_location_n_filter=2, attention_location_kernel_size=3, prenet_dim=8,
        postnet_n_convolution=2, postnet_embedding_dim=8, prenet_dropout=0.0, decoder_max_step=20,
    )  # fmt: skip
    tokens, mel = fb.tensor([[1, 2, 3, 4]]), fb.randn(1, 4, 6)
    sizes, ends = (fb.tensor([4]), fb.tensor([6])), fb.tensor([[0.0, 0, 0, 0, 0, 1]])
    optimizer = fb.optim.Adam(model.parameters(), lr=0.02)
    model.eval()  # the same each time
    for _ in range(80):
        before, after, gates, _ = model(tokens, sizes[0], mel, sizes[1])
        loss = ((before - mel) ** 2).mean() + ((after - mel) ** 2).mean()
        loss = loss + fb.nn.functional.binary_cross_entropy_with_logits(gates, ends)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1
    with fb.no_grad():
        spoken, lengths, weights = model.infer(tokens)
    assert lengths.tolist() == [6] and weights.shape == (1, 6, 4)
    assert float((spoken - mel).abs().mean()) < 0.2


def test_nets_refuse():
    with pytest.raises(ArgumentError, match="n_frames_per_step of 1"):
        models.Tacotron2(n_frames_per_step=2)
    with pytest.raises(ArgumentError, match="odd kernel sizes"):
        models.Tacotron2(postnet_kernel_size=4)
    with pytest.raises(ArgumentError, match="of one even size"):
        models.Tacotron2(encoder_embedding_dim=256)
    with pytest.raises(ArgumentError, match="multiples of 8"):
        models.ECAPA_TDNN(10, channels=[8, 9, 8, 8, 8])
    with pytest.raises(ArgumentError, match="one length"):
        models.ECAPA_TDNN(10, channels=[8, 8, 8, 8])
    with pytest.raises(ShapeError, match="more than 4 frames, got 4"):
        models.ECAPA_TDNN(4, channels=[8] * 5).eval()(fb.zeros(1, 4, 4))
    with pytest.raises(ArgumentError, match="5 channels, kernel sizes"):
        models.Xvector(tdnn_channels=[1, 2])
    with pytest.raises(ArgumentError, match="odd depthwise_conv_kernel_size"):
        models.Conformer(8, 2, 8, 1, 4)
    config = models.SpeechT5HifiGanConfig(model_in_dim=4, upsample_initial_channel=16)
    with pytest.raises(ShapeError, match=r"bands \(N, frames, 4\), got shape \(1, 3, 5\)"):
        models.SpeechT5HifiGan(config)(fb.zeros(1, 3, 5))
    for wrong in (
        dict(upsample_rates=[4]),
        dict(resblock_dilation_sizes=[[1]]),
        dict(upsample_initial_channel=24),
        dict(upsample_rates="x"),
    ):
        with pytest.raises(ArgumentError, match="SpeechT5HifiGanConfig"):
            models.SpeechT5HifiGanConfig(**wrong)
