"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from typing import NamedTuple

from flambeau.plugins import Register, hookimpl


class Family(NamedTuple):
    """Models of one file: its module, its classes, the functions that build one, and what they are."""

    module: str
    classes: tuple[str, ...]
    builders: tuple[str, ...]
    summary: str


def _family(file: str, classes: str, builders: str, summary: str) -> Family:
    return Family(f"flambeau_vision.models.{file}", tuple(classes.split()), tuple(builders.split()), summary)


FAMILIES = (
    _family("alexnet", "AlexNet", "alexnet", "AlexNet (Krizhevsky 2014)."),
    _family("convnext", "ConvNeXt", "convnext_tiny convnext_small convnext_base convnext_large", "ConvNeXt (Liu et al. 2022)."),
    _family("dcgan", "DCGANGenerator DCGANDiscriminator", "", "DCGAN (Radford et al. 2015)."),
    _family("ddpm", "DiffusionUNet Diffusion", "", "Denoising diffusion (Ho et al. 2020)."),
    _family("densenet", "DenseNet", "densenet121 densenet161 densenet169 densenet201", "DenseNet (Huang et al. 2016)."),
    _family(
        "segmentation.deeplabv3",
        "DeepLabV3",
        "deeplabv3_resnet50 deeplabv3_resnet101 deeplabv3_mobilenet_v3_large",
        "DeepLabV3, classes of pixels (Chen et al. 2017).",
    ),
    _family("digits_cnn", "DigitsCNN", "digits_cnn", "A small convolutional net for 8x8 digits."),
    _family(
        "efficientnet",
        "EfficientNet",
        "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 "
        "efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l",
        "EfficientNet and EfficientNetV2 (Tan and Le 2019, 2021).",
    ),
    _family(
        "detection.faster_rcnn",
        "FasterRCNN",
        "fasterrcnn_resnet50_fpn fasterrcnn_resnet50_fpn_v2 fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_mobilenet_v3_large_320_fpn",
        "Faster R-CNN, a detector in two stages (Ren et al. 2015).",
    ),
    _family("segmentation.fcn", "FCN", "fcn_resnet50 fcn_resnet101", "FCN, classes of pixels (Long et al. 2014)."),
    _family("mobilenetv2", "MobileNetV2", "mobilenet_v2", "MobileNetV2 (Sandler et al. 2018)."),
    _family("mobilenetv3", "MobileNetV3", "mobilenet_v3_large mobilenet_v3_small", "MobileNetV3 (Howard et al. 2019)."),
    _family(
        "resnet",
        "ResNet BasicBlock Bottleneck",
        "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d wide_resnet50_2 wide_resnet101_2",
        "ResNet, ResNeXt and Wide ResNet (He et al. 2015).",
    ),
    _family(
        "detection.retinanet",
        "RetinaNet",
        "retinanet_resnet50_fpn retinanet_resnet50_fpn_v2",
        "RetinaNet, a detector in one stage (Lin et al. 2017).",
    ),
    _family(
        "swin_transformer", "SwinTransformer", "swin_t swin_s swin_b swin_v2_t swin_v2_s swin_v2_b", "Swin Transformer (Liu et al. 2021)."
    ),
    _family("segmentation.unet", "UNet", "unet", "U-Net, classes of pixels (Ronneberger et al. 2015)."),
    _family("vae", "VAE", "", "Variational autoencoder (Kingma and Welling 2013)."),
    _family("vgg", "VGG", "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn", "VGG (Simonyan and Zisserman 2014)."),
    _family(
        "vision_transformer",
        "VisionTransformer",
        "vit_b_16 vit_b_32 vit_l_16 vit_l_32 vit_h_14",
        "Vision Transformer (Dosovitskiy et al. 2020).",
    ),
)

DATASETS = {
    "cifar10": ("cifar:CIFAR10", "Photographs of ten classes, 32x32."),
    "cifar100": ("cifar:CIFAR100", "Photographs of a hundred classes, 32x32."),
    "coco_detection": ("coco:CocoDetection", "COCO: photographs with boxes and masks of 80 classes."),
    "emnist": ("mnist:EMNIST", "Handwritten letters and digits, 28x28."),
    "fake_data": ("fake:FakeData", "Random images, for trying things out."),
    "fashion_mnist": ("mnist:FashionMNIST", "Clothes in ten classes, 28x28."),
    "image_folder": ("folder:ImageFolder", "Images of one's own, a directory for each class."),
    "kmnist": ("mnist:KMNIST", "Ten characters of cursive Japanese, 28x28."),
    "mnist": ("mnist:MNIST", "Handwritten digits, 28x28."),
    "optical_digits": ("optical_digits:OpticalDigits", "1,797 handwritten digits of 8x8 pixels."),
    "qmnist": ("mnist:QMNIST", "MNIST with 60,000 images for testing."),
    "shapes": ("shapes:Shapes", "Made pictures of circles, squares and triangles."),
    "voc_detection": ("voc:VOCDetection", "PASCAL VOC: photographs with boxes of 20 classes."),
    "voc_segmentation": ("voc:VOCSegmentation", "PASCAL VOC: photographs with a class for each pixel."),
}
RECIPES = {
    "digits": "A small convolutional net learns the optical digits.",
    "digits-ddpm": "A diffusion model learns to draw digits.",
    "digits-gan": "A conditional GAN learns to draw digits.",
    "digits-vae": "A variational autoencoder learns codes of digits.",
    "shapes-detection": "A small RetinaNet finds the shapes in made pictures.",
    "shapes-segmentation": "A small U-Net finds the class of each pixel of made pictures.",
}

TRANSFORMS = {
    "center_crop": ("transforms:CenterCrop", "The middle of an image."),
    "clamp_bounding_boxes": ("transforms:ClampBoundingBoxes", "Boxes end at the border."),
    "color_jitter": ("transforms:ColorJitter", "Random brightness, contrast, saturation and hue, in a random order."),
    "compose": ("transforms:Compose", "Transforms one after the other."),
    "convert_bounding_box_format": ("transforms:ConvertBoundingBoxFormat", "Boxes in another format."),
    "cutmix": ("transforms:CutMix", "Each image of a batch gets a window from its neighbour."),
    "gaussian_blur": ("transforms:GaussianBlur", "Blur with a random sigma."),
    "grayscale": ("transforms:Grayscale", "Luminance, in 1 or 3 channels."),
    "identity": ("transforms:Identity", "Does nothing."),
    "lambda": ("transforms:Lambda", "A function of each part, or only of parts of some types."),
    "mixup": ("transforms:MixUp", "Each image of a batch is blended with its neighbour, and so are their labels."),
    "normalize": ("transforms:Normalize", "(image - mean) / std, of floats."),
    "pad": ("transforms:Pad", "More room on four sides."),
    "pil_to_tensor": ("transforms:PILToTensor", "PIL images become tensors (C, H, W) in their own range."),
    "rand_augment": ("transforms:RandAugment", "`num_ops` operations of 14 at one level."),
    "random_adjust_sharpness": ("transforms:RandomAdjustSharpness", "Sharper or softer images."),
    "random_affine": (
        "transforms:RandomAffine",
        "Random rotation (degrees), translation (shares of the size), scale, and shear (degrees).",
    ),
    "random_apply": ("transforms:RandomApply", "All of some transforms with chance p, or none."),
    "random_autocontrast": ("transforms:RandomAutocontrast", "Channels stretched to the whole range."),
    "random_choice": ("transforms:RandomChoice", "One of some transforms."),
    "random_crop": ("transforms:RandomCrop", "A window of one size at a random place."),
    "random_equalize": ("transforms:RandomEqualize", "An even histogram."),
    "random_erasing": ("transforms:RandomErasing", "With chance p, a random window gets `value`."),
    "random_grayscale": ("transforms:RandomGrayscale", "Luminance in as many channels as the image has."),
    "random_horizontal_flip": ("transforms:RandomHorizontalFlip", "Left to right with chance p."),
    "random_invert": ("transforms:RandomInvert", "The negative."),
    "random_order": ("transforms:RandomOrder", "Some transforms, in a random order."),
    "random_perspective": (
        "transforms:RandomPerspective",
        "With chance p, each corner moves inwards by up to half of `distortion_scale` of the size.",
    ),
    "random_posterize": ("transforms:RandomPosterize", "Fewer bits."),
    "random_resized_crop": ("transforms:RandomResizedCrop", "A window of random area and shape, resized to one size."),
    "random_rotation": ("transforms:RandomRotation", "Rotate by random degrees, counter-clockwise."),
    "random_solarize": ("transforms:RandomSolarize", "Invert what is bright."),
    "random_vertical_flip": ("transforms:RandomVerticalFlip", "Upside down with chance p."),
    "resize": ("transforms:Resize", "To (H, W), or the shorter side to one number (the longer one then at most `max_size`)."),
    "sanitize_bounding_boxes": (
        "transforms:SanitizeBoundingBoxes",
        "Removes boxes that are smaller than `min_size`, or out of the canvas, with their labels.",
    ),
    "to_dtype": ("transforms:ToDtype", "Convert pixels."),
    "to_image": ("transforms:ToImage", "PIL images and arrays become Images."),
    "to_pil_image": ("transforms:ToPILImage", "Images, and tensors (C, H, W), become PIL images."),
    "to_pure_tensor": ("transforms:ToPureTensor", "Images, Masks, BoundingBoxes and KeyPoints become tensors without a meaning."),
    "trivial_augment_wide": ("transforms:TrivialAugmentWide", "One operation of 14 at a random level."),
}
METRICS = {
    "accuracy_at_k": ("metrics:accuracy_at_k", "How often the true class is among the k best."),
    "coco_ap": ("metrics:CocoAP", "Average precision of detections by COCO's protocol."),
    "confusion_matrix": ("metrics:confusion_matrix", "How often each class was taken for each."),
    "frechet_distance": ("metrics:frechet_distance", "The distance of two sets of features, as in the FID."),
    "mean_iou": ("metrics:mean_iou", "Intersection over union of classes of pixels."),
    "psnr": ("metrics:psnr", "Peak signal to noise ratio of images, in dB."),
    "ssim": ("metrics:ssim", "Structural similarity of images."),
}


def builders() -> tuple[str, ...]:
    """The names of all models."""
    return tuple(name for family in FAMILIES for name in family.builders)


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Models, datasets, transforms, metrics and recipes."""
    for family in FAMILIES:
        for builder in family.builders:
            registry.model(builder, f"{family.module}:{builder}", summary=family.summary)
    for name, (target, summary) in DATASETS.items():
        registry.dataset(name, f"flambeau_vision.datasets.{target}", summary=summary)
    for kind, table in (("transforms", TRANSFORMS), ("metrics", METRICS)):
        for name, (target, summary) in table.items():
            registry.add(kind, name, f"flambeau_vision.{target}", summary=summary)
    for name, summary in RECIPES.items():
        registry.recipe(name, f"flambeau_vision.recipes.{name.replace('-', '_')}:recipe", summary=summary)
