"""Write vision_models.npz: the released torchvision's outputs for seeded weights. Run where torchvision is:

python -m tests.golden.vision_models
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.vision.seeded import FIXED, MODELS, seeded_images, seeded_state

PATH = Path(__file__).with_suffix(".npz")


def torchvision_outputs(name: str) -> np.ndarray:
    """Logits of two images with ten classes."""
    import torch
    import torchvision

    options, size = MODELS[name]
    model = torchvision.models.get_model(name, weights=None, num_classes=10, **options).eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items() if not key.endswith(FIXED)}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in seeded_state(shapes).items()}, strict=False)
    with torch.no_grad():
        return model(torch.from_numpy(seeded_images(2, 3, size, size))).numpy()


if __name__ == "__main__":
    import tests.parity.vision.conftest as conftest

    conftest.import_torchvision()
    np.savez_compressed(PATH, **{name: torchvision_outputs(name) for name in MODELS})
