"""Which official package brings which name: the answer to "where does this live?" when the package is not installed.

A test keeps the table equal to what the packages register.
"""

from __future__ import annotations

PROVIDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "flambeau-vision": {
        "datasets": tuple(
            (
                "cifar10 cifar100 coco_detection emnist fake_data fashion_mnist image_folder kmnist mnist optical_digits qmnist "
                "shapes voc_detection voc_segmentation"
            ).split()
        ),
        "metrics": tuple("accuracy_at_k coco_ap confusion_matrix frechet_distance mean_iou psnr ssim".split()),
        "models": tuple(
            (
                "alexnet convnext_base convnext_large convnext_small convnext_tiny deeplabv3_mobilenet_v3_large "
                "deeplabv3_resnet101 deeplabv3_resnet50 densenet121 densenet161 densenet169 densenet201 digits_cnn "
                "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 "
                "efficientnet_b6 efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s "
                "fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_resnet50_fpn "
                "fasterrcnn_resnet50_fpn_v2 fcn_resnet101 fcn_resnet50 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small "
                "resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d "
                "retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 swin_b swin_s swin_t swin_v2_b swin_v2_s swin_v2_t unet vgg11 "
                "vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32 vit_h_14 vit_l_16 vit_l_32 "
                "wide_resnet101_2 wide_resnet50_2"
            ).split()
        ),
        "recipes": tuple("digits digits-ddpm digits-gan digits-vae shapes-detection shapes-segmentation".split()),
        "transforms": tuple(
            (
                "center_crop clamp_bounding_boxes color_jitter compose convert_bounding_box_format cutmix gaussian_blur "
                "grayscale identity lambda mixup normalize pad pil_to_tensor rand_augment random_adjust_sharpness random_affine "
                "random_apply random_autocontrast random_choice random_crop random_equalize random_erasing random_grayscale "
                "random_horizontal_flip random_invert random_order random_perspective random_posterize random_resized_crop "
                "random_rotation random_solarize random_vertical_flip resize sanitize_bounding_boxes to_dtype to_image "
                "to_pil_image to_pure_tensor trivial_augment_wide"
            ).split()
        ),
    },
    "flambeau-audio": {
        "models": ("conformer", "ecapa_tdnn", "hifigan", "hubert", "tacotron2", "wav2vec2", "wavenet", "whisper", "xvector"),
    },
    "flambeau-text": {
        "datasets": ("ag_news", "conll2000", "conll2003", "imdb", "multi30k", "squad", "sst2", "wikitext"),
        "models": ("bart", "bert", "distilbert", "gpt2", "llama", "marian", "mistral", "qwen2", "roberta", "t5", "transformer"),
        "recipes": ("char-gpt", "reverse-translate", "sentiment"),
    },
    "flambeau-rl": {
        "agents": ("a2c", "c51", "ddpg", "dqn", "ppo", "sac", "td3"),
        "recipes": ("acrobot", "cartpole", "mountaincar", "pendulum"),
    },
}

FIRST_PARTY = ("flambeau", *PROVIDERS)


def known_names(kind: str) -> dict[str, str]:
    """Names of one kind that official packages bring: name -> package.

    >>> known_names("agents")["ppo"]
    'flambeau-rl'
    """
    return {name: package for package, kinds in PROVIDERS.items() for name in kinds.get(kind, ())}


def provider(kind: str, name: str) -> str:
    """The official package that brings `name` (bare, or `owner/name`), or an empty string.

    >>> provider("recipes", "rl/anything")
    'flambeau-rl'
    """
    owner, slash, _ = name.rpartition("/")
    if slash:
        package = f"flambeau-{owner}"
        return package if package in PROVIDERS else ""
    return known_names(kind).get(name, "")
