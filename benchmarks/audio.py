"""Sound beside PyTorch, in one run: `python -m benchmarks.audio`.

Bars (flambeau-audio): mel spectrograms of 8 x 10 s 1.5x as fast as PyTorch; wav2vec2-base on 10 s of audio 1.2x as fast as transformers on
PyTorch; the CTC loss of 32 x 500 x 50, forward and backward, as fast as PyTorch. Ours are compiled as a user compiles them; theirs are
eager. torchaudio does not load beside today's PyTorch, so its mel spectrogram is written out: stft, power, bands. Two threads. Names of
rows given as arguments choose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau
from benchmarks.common import chosen, paired, peer, report
from benchmarks.text import other_library
from flambeau.nn import functional as F
from flambeau_audio.models import Wav2Vec2Config, Wav2Vec2Model, load_model
from flambeau_audio.transforms import MelSpectrogram

THREADS = 2
RATE = 16000
Runs = tuple[Callable[[], Any], Callable[[], Any] | None]


def mel(torch: Any) -> Runs:
    """80 mel bands of 8 x 10 s, every 10 ms."""
    waves = np.random.default_rng(0).standard_normal((8, 10 * RATE)).astype(np.float32)
    transform = MelSpectrogram(RATE, n_fft=400, hop_length=160, n_mels=80)
    program, mine = flambeau.compile(transform), flambeau.from_numpy(waves)

    def ours() -> Any:
        with flambeau.no_grad():
            return program(mine)

    if torch is None:
        return ours, None
    window, banks = torch.hann_window(400), torch.from_numpy(transform.mel_scale.fb.numpy().copy())
    other = torch.from_numpy(waves)

    def theirs() -> Any:
        with torch.no_grad():
            spectrum = torch.stft(other, 400, 160, window=window, center=True, pad_mode="reflect", return_complex=True)
            return torch.matmul(spectrum.abs().pow(2.0).transpose(-1, -2), banks).transpose(-1, -2)

    np.testing.assert_allclose(ours().numpy(), theirs().numpy(), rtol=1e-3, atol=1e-2)
    return ours, theirs


def wav2vec2(torch: Any) -> Runs:
    """The states of the base model for one waveform of 10 s."""
    library = other_library() if torch else None
    with tempfile.TemporaryDirectory() as folder:
        Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
        model = load_model(folder)
        other = library.Wav2Vec2Model.from_pretrained(folder).eval() if library else None
    wave = np.random.default_rng(0).standard_normal((1, 10 * RATE)).astype(np.float32)
    program, mine = flambeau.compile(lambda x: model(x)[0]), flambeau.from_numpy(wave)

    def ours() -> Any:
        with flambeau.no_grad():
            return program(mine)

    def theirs() -> Any:
        with torch.no_grad():
            return other(torch.from_numpy(wave))[0]

    if other is None:
        return ours, None
    np.testing.assert_allclose(ours().numpy(), theirs().numpy(), atol=1e-3)
    return ours, theirs


def ctc(torch: Any) -> Runs:
    """Loss and gradient of 32 sequences of 500 frames and 50 classes, with 60 labels each."""
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((500, 32, 50)).astype(np.float32), rng.integers(1, 50, (32, 60))
    lengths, counts = np.full(32, 500), np.full(32, 60)

    def run(library: Any, loss: Callable[..., Any], make: Callable[[Any], Any]) -> Callable[[], Any]:
        x = make(scores).log_softmax(-1).detach().requires_grad_()
        rest = [make(value) for value in (labels, lengths, counts)]

        def step() -> Any:
            x.grad = None
            loss(x, *rest).backward()
            return x.grad

        return step

    ours = run(flambeau, F.ctc_loss, flambeau.from_numpy)
    theirs = run(torch, torch.nn.functional.ctc_loss, torch.from_numpy) if torch else None
    if theirs:
        np.testing.assert_allclose(ours().numpy(), theirs().numpy(), atol=1e-6)
    return ours, theirs


ROWS: list[tuple[str, Callable[[Any], Runs], float]] = [
    ("mel spectrogram 8 x 10 s", mel, 1.5),
    ("wav2vec2-base, 10 s", wav2vec2, 1.2),
    ("CTC loss 32 x 500 x 50", ctc, 1.0),
]


def main() -> None:
    """Measure and report."""
    torch = peer()
    if torch:
        torch.set_num_threads(THREADS)
    flambeau.set_num_threads(THREADS)
    results = []
    for name, make, bar in ROWS:
        if not chosen(name):
            continue
        mine, other = paired(*make(torch), rounds=5, seconds=0.1)
        result = {"work": name, "flambeau ms": 1000 * mine, "PyTorch ms": 1000 * other if other else None}
        results.append({**result, "times faster": other / mine if other else None, "bar": bar})
    report("audio", results, {"threads": THREADS})


if __name__ == "__main__":
    main()
