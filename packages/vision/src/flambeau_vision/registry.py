"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Datasets, models and recipes."""
    registry.dataset(
        "optical_digits", "flambeau_vision.datasets.optical_digits:OpticalDigits", summary="1,797 handwritten digits of 8x8 pixels."
    )
    registry.model("digits_cnn", "flambeau_vision.models.digits_cnn:digits_cnn", summary="A small convolutional net for 8x8 digits.")
    registry.recipe("digits", "flambeau_vision.recipes.digits:recipe", summary="A small convolutional net learns the optical digits.")
