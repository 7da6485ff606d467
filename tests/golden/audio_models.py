"""Outputs of transformers (5.24) for tiny models of speech, kept so that ours are tested where that library is not installed.

Run with transformers installed to make `audio_models.npz` again: for each case its configuration as JSON, its weights as int8 (in 64ths),
its inputs and an output.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
NAMES = ("Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining", "HubertForCTC", "Wav2Vec2ForXVector")


def record(torch, model, name, inputs):
    """What is kept of a model, whose weights become small whole numbers of 64ths."""
    with torch.no_grad():
        for value in model.parameters():
            small = (torch.randn_like(value) * 16).round().clamp(-127, 127)
            value.copy_(small / 64)
        out = model(**{key: torch.tensor(value) for key, value in inputs.items()})
    found = {f"{name}/config": np.array(json.dumps({**model.config.to_dict(), "architectures": [name]}))}
    found[f"{name}/output"] = next(v for v in out.values() if v is not None and v.ndim).numpy()
    found |= {f"{name}/input/{key}": value for key, value in inputs.items()}
    for key, value in model.state_dict().items():
        found[f"{name}/weight/{key}"] = (value.numpy() * 64).round().astype(np.int8)
    return found


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "parity" / "audio"
    sys.path.insert(0, str(folder))
    parity = runpy.run_path(str(folder / "test_speech_models.py"))
    torch, transformers = parity["torch"], parity["transformers"]
    kept = {}
    for case in NAMES:
        options = next(options for name, options in parity["CASES"] if name == case)
        torch.manual_seed(0)
        built = getattr(transformers, case)(getattr(transformers, case).config_class(**options)).eval()
        kept |= record(torch, built, case, parity["inputs"](case))
    whisper = runpy.run_path(str(folder / "test_whisper.py"))
    case, rng = "WhisperForConditionalGeneration", np.random.default_rng(2)
    built = getattr(transformers, case)(transformers.WhisperConfig(**whisper["OPTIONS"], max_length=20)).eval()
    frames = whisper["features"](230)
    kept |= record(torch, built, case, {"input_features": frames[..., :50], "decoder_input_ids": rng.integers(3, 30, (2, 7))})
    for name, value in whisper["SETTINGS"].items():
        setattr(built.generation_config, name, value)
    settings = {"language": "en", "return_timestamps": True}
    ids = built.generate(torch.tensor(frames), attention_mask=torch.ones(2, 230, dtype=torch.long), **settings)
    kept |= {f"{case}/greedy": ids.numpy(), f"{case}/frames": frames}
    kept[f"{case}/settings"] = np.array(json.dumps({**whisper["OPTIONS"], **whisper["SETTINGS"], "max_length": 20}))
    np.savez_compressed(FILE, **kept)
