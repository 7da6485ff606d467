"""Outputs of transformers (5.24) for tiny models, kept so that ours are tested where that library is not installed.

Run with transformers installed to make `text_models.npz` again: for each case its configuration as JSON, its weights as int8 (in 64ths),
its inputs and some outputs.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
NAMES = (
    "GPT2LMHeadModel", "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "BertForMaskedLM", "BertModel", "RobertaForMaskedLM",
    "DistilBertForMaskedLM", "T5ForConditionalGeneration", "BartForConditionalGeneration", "MarianMTModel",
)  # fmt: skip


def tied(model):
    """Names that stand for another tensor."""
    return set(model._tied_weights_keys or {}) if model.config.tie_word_embeddings else set()


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "parity" / "text"
    sys.path.insert(0, str(folder))
    parity = runpy.run_path(str(folder / "test_models.py"))
    torch, transformers = parity["torch"], parity["transformers"]
    found = {}
    for name in NAMES:
        options = next(options for case, options in parity["CASES"] if case == name)
        torch.manual_seed(0)
        model = getattr(transformers, name)(getattr(transformers, name).config_class(**options)).eval()
        with torch.no_grad():
            for key, value in model.named_parameters():
                if "embed_positions" not in key or "Marian" not in name:
                    small = (torch.randn_like(value) * 16).round().clamp(-127, 127)
                    value.copy_(small / 64)
        model.tie_weights()
        config = {**model.config.to_dict(), "architectures": [name]}
        inputs = parity["inputs"](name, model.config)
        if "attention_mask" in inputs:
            inputs["attention_mask"][:] = 1
        with torch.no_grad():
            out = model(**{key: torch.tensor(value) for key, value in inputs.items()})
        found[f"{name}/config"] = np.array(json.dumps(config))
        found[f"{name}/output"] = out[0].numpy()
        found |= {f"{name}/input/{key}": value for key, value in inputs.items()}
        for key, value in model.state_dict().items():
            if key not in tied(model) and "embed_positions" not in key or "Bart" in name and key not in tied(model):
                found[f"{name}/weight/{key}"] = (value.numpy() * 64).round().astype(np.int8)
        if "LM" in name or "Generation" in name or "MT" in name:
            if "Masked" not in name:
                ids = model.generate(torch.tensor(inputs["input_ids"]), max_new_tokens=8, do_sample=False, num_beams=1)
                found[f"{name}/greedy"] = ids.numpy()
    np.savez_compressed(FILE, **found)
