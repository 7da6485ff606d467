"""The released torchvision beside a PyTorch of the CPU, with or without its compiled part."""

from __future__ import annotations

import warnings

import pytest

# The operators of the compiled part, which torchvision looks up while it is imported.
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, int sampling_ratio, bool aligned)"
    " -> Tensor",
)
_keep = []


def import_torchvision() -> None:
    """Make `import torchvision` work, where there is one."""
    try:
        import torch
        from torch.library import Library
    except ImportError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torchvision
        except RuntimeError:
            library = Library("torchvision", "DEF")
            _keep.append(library)  # operators live as long as it does
            for schema in OPERATORS:
                library.define(schema)
            library.impl("nms", _nms, "CPU")
            import torchvision  # noqa: F401
        except ImportError:
            return
    assert torch.ops.torchvision.nms is not None


def pytest_configure(config: pytest.Config) -> None:
    """Before a test module imports torchvision."""
    import_torchvision()


def _nms(boxes, scores, threshold):  # type: ignore[no-untyped-def]
    """Non-maximum suppression by its definition."""
    import torch
    from torchvision.ops import box_iou

    order, kept = scores.argsort(descending=True, stable=True), []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[box_iou(boxes[best][None], boxes[order])[0] <= threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)
