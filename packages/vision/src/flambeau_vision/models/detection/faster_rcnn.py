"""Faster R-CNN (Ren et al. 2015, https://arxiv.org/abs/1506.01497), on feature pyramids."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.models import resnet
from flambeau_vision.models.detection.backbones import mobilenet_fpn, norm_for, resnet_fpn, trainable, use_eps
from flambeau_vision.models.detection.images import MEAN, STD, AnchorGenerator, GeneralizedRCNNTransform
from flambeau_vision.models.detection.roi_heads import RoIHeads
from flambeau_vision.models.detection.rpn import RegionProposalNetwork, RPNHead
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import Conv2dNormActivation
from flambeau_vision.ops.roi import MultiScaleRoIAlign

FasterRCNN_ResNet50_FPN_Weights = weights_enum("FasterRCNN_ResNet50_FPN_Weights")
FasterRCNN_ResNet50_FPN_V2_Weights = weights_enum("FasterRCNN_ResNet50_FPN_V2_Weights")
FasterRCNN_MobileNet_V3_Large_FPN_Weights = weights_enum("FasterRCNN_MobileNet_V3_Large_FPN_Weights")
FasterRCNN_MobileNet_V3_Large_320_FPN_Weights = weights_enum("FasterRCNN_MobileNet_V3_Large_320_FPN_Weights")


class TwoMLPHead(nn.Module):
    """Features of a box (R, C, h, w) to (R, representation_size) through two linear layers."""

    def __init__(self, in_channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Any) -> Any:
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class FastRCNNConvFCHead(nn.Sequential):
    """Features of a box through convolutions, then linear layers."""

    def __init__(
        self,
        input_size: tuple[int, int, int],
        conv_layers: Sequence[int],
        fc_layers: Sequence[int],
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        channels, height, width = input_size
        blocks: list[nn.Module] = []
        for outputs in conv_layers:
            blocks.append(Conv2dNormActivation(channels, outputs, norm_layer=norm_layer))
            channels = outputs
        blocks.append(nn.Flatten())
        channels *= height * width
        for outputs in fc_layers:
            blocks += [nn.Linear(channels, outputs), nn.ReLU()]
            channels = outputs
        super().__init__(*blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class FastRCNNPredictor(nn.Module):
    """(R, in_channels) to logits (R, num_classes) and differences (R, num_classes * 4)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x: Any) -> tuple[Any, Any]:
        x = x.flatten(1)
        return self.cls_score(x), self.bbox_pred(x)


class FasterRCNN(nn.Module):
    """A detector in two stages: proposals, then their classes. What it takes and gives is in `flambeau_vision.models.detection`.

    Args:
        backbone: images to features by name; it has `out_channels`.
        num_classes: K, with class 0 for the background; None with a `box_predictor` of one's own.
        min_size, max_size, image_mean, image_std: how images are prepared.
        rpn_anchor_generator, rpn_head, box_roi_pool, box_head, box_predictor: in place of the usual ones.
        options: of the two stages, by torchvision's names: rpn_pre_nms_top_n_train (2000), rpn_pre_nms_top_n_test (1000),
            rpn_post_nms_top_n_train (2000), rpn_post_nms_top_n_test (1000), rpn_nms_thresh (0.7), rpn_fg_iou_thresh (0.7),
            rpn_bg_iou_thresh (0.3), rpn_batch_size_per_image (256), rpn_positive_fraction (0.5), rpn_score_thresh (0.0);
            box_score_thresh (0.05), box_nms_thresh (0.5), box_detections_per_img (100), box_fg_iou_thresh (0.5), box_bg_iou_thresh (0.5),
            box_batch_size_per_image (512), box_positive_fraction (0.25), bbox_reg_weights ((10, 10, 5, 5)).
    """

    def __init__(
        self,
        backbone: Any,
        num_classes: int | None = None,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: Sequence[float] = MEAN,
        image_std: Sequence[float] = STD,
        rpn_anchor_generator: AnchorGenerator | None = None,
        rpn_head: Any = None,
        box_roi_pool: Any = None,
        box_head: Any = None,
        box_predictor: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ArgumentError(explain("FasterRCNN", expected="a backbone with out_channels", got=type(backbone).__name__))
        if (num_classes is None) == (box_predictor is None):
            raise ArgumentError(explain("FasterRCNN", expected="num_classes or box_predictor", got="both" if num_classes else "neither"))
        channels = backbone.out_channels
        anchors = rpn_anchor_generator or AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)
        pool = box_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
        box_head = box_head or TwoMLPHead(channels * pool.output_size[0] ** 2, 1024)
        self.transform = GeneralizedRCNNTransform(min_size, max_size, image_mean, image_std)
        self.backbone = backbone
        rpn = {name.removeprefix("rpn_"): options.pop(name) for name in list(options) if name.startswith("rpn_")}
        self.rpn = RegionProposalNetwork(anchors, rpn_head or RPNHead(channels, anchors.num_anchors_per_location()[0]), **rpn)
        box = {name.removeprefix("box_"): options.pop(name) for name in list(options) if name.startswith("box_")}
        self.roi_heads = RoIHeads(pool, box_head, box_predictor or FastRCNNPredictor(1024, num_classes or 0), **box, **options)

    def forward(self, images: Sequence[Any], targets: Any = None) -> Any:
        if self.training and targets is None:
            raise ArgumentError(explain("FasterRCNN", expected="targets in training", got="none", hint="model.eval()"))
        batch, sizes, boxes = self.transform(images, targets if self.training else None)
        features = self.backbone(batch)
        if not isinstance(features, dict):
            features = OrderedDict({"0": features})
        proposals, losses = self.rpn((batch.shape[-2], batch.shape[-1]), sizes, features, boxes)
        if boxes is not None:
            labels = [target["labels"].detach().cpu().numpy() for target in targets]
            return {**self.roi_heads.losses(features, proposals, sizes, boxes, labels), **losses}
        olds = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        return self.roi_heads.detections(features, proposals, sizes, olds)


def fasterrcnn_resnet50_fpn(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> FasterRCNN:
    """Faster R-CNN on ResNet-50: 41.8 million parameters. `weights_backbone` is None by default: nothing is fetched unasked."""
    is_trained = weights is not None or weights_backbone is not None

    def make(num_classes: int = 91, **options: Any) -> FasterRCNN:
        layers = trainable(is_trained, trainable_backbone_layers, 5, 3)
        return FasterRCNN(resnet_fpn(resnet.resnet50, weights_backbone, norm_for(is_trained), layers), num_classes, **options)

    model: FasterRCNN = build(make, FasterRCNN_ResNet50_FPN_Weights, weights, progress, kwargs)
    if weights is not None:
        use_eps(model, 0.0)
    return model


def fasterrcnn_resnet50_fpn_v2(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> FasterRCNN:
    """Faster R-CNN with more convolutions and normalisation in its heads (https://arxiv.org/abs/2111.11429): 43.7 million parameters."""
    is_trained = weights is not None or weights_backbone is not None

    def make(num_classes: int = 91, **options: Any) -> FasterRCNN:
        layers = trainable(is_trained, trainable_backbone_layers, 5, 3)
        body = resnet_fpn(resnet.resnet50, weights_backbone, nn.BatchNorm2d, layers, fpn_norm=nn.BatchNorm2d)
        head = FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d)
        return FasterRCNN(body, num_classes, rpn_head=RPNHead(256, 3, conv_depth=2), box_head=head, **options)

    model: FasterRCNN = build(make, FasterRCNN_ResNet50_FPN_V2_Weights, weights, progress, kwargs)
    return model


def _mobile(enum: Any, small: dict[str, Any], weights: Any, progress: bool, backbone: Any, layers: Any, options: dict[str, Any]) -> Any:
    is_trained = weights is not None or backbone is not None

    def make(num_classes: int = 91, **own: Any) -> FasterRCNN:
        body = mobilenet_fpn(backbone, norm_for(is_trained), trainable(is_trained, layers, 6, 3))
        anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
        return FasterRCNN(body, num_classes, rpn_anchor_generator=anchors, **{"rpn_score_thresh": 0.05, **small, **own})

    return build(make, enum, weights, progress, options)


def fasterrcnn_mobilenet_v3_large_fpn(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> FasterRCNN:
    """Faster R-CNN on MobileNetV3-Large: 19.4 million parameters."""
    enum = FasterRCNN_MobileNet_V3_Large_FPN_Weights
    model: FasterRCNN = _mobile(enum, {}, weights, progress, weights_backbone, trainable_backbone_layers, kwargs)
    return model


def fasterrcnn_mobilenet_v3_large_320_fpn(
    *,
    weights: Any = None,
    progress: bool = True,
    weights_backbone: Any = None,
    trainable_backbone_layers: int | None = None,
    **kwargs: Any,
) -> FasterRCNN:
    """Faster R-CNN on MobileNetV3-Large for images of 320 pixels: 19.4 million parameters."""
    small = {"min_size": 320, "max_size": 640, "rpn_pre_nms_top_n_test": 150, "rpn_post_nms_top_n_test": 150}
    enum = FasterRCNN_MobileNet_V3_Large_320_FPN_Weights
    model: FasterRCNN = _mobile(enum, small, weights, progress, weights_backbone, trainable_backbone_layers, kwargs)
    return model
