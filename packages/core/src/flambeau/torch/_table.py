"""Where each module of PyTorch's finds its names: the Flambeau module behind it, and single names that are elsewhere.

A module that is a file in this folder (torch.amp is amp.py) is in no table. A name is looked for among `NAMES` first, then in the base.
"""

from __future__ import annotations

# Module below `torch` -> the module of Flambeau whose names it has. "x.*" stands for any module below x, for programs that import from
# the file where PyTorch happens to keep a class.
BASES: dict[str, str] = {
    "": "flambeau",
    "accelerator": "flambeau.accelerator",
    "amp": "flambeau.amp",
    "amp.autocast_mode": "flambeau.amp",
    "amp.grad_scaler": "flambeau.amp",
    "autograd": "flambeau.autograd",
    "autograd.forward_ad": "flambeau.func",
    "autograd.function": "flambeau.autograd.function",
    "autograd.functional": "flambeau.autograd.functional",
    "autograd.grad_mode": "flambeau.autograd",
    "autograd.graph": "flambeau.autograd.graph",
    "autograd.gradcheck": "flambeau.autograd",
    "autograd.profiler": "flambeau.torch.profiler",
    "autograd.variable": "flambeau.autograd.variable",
    "cpu": "flambeau.cpu",
    "cuda": "flambeau.cuda",
    "cuda.amp": "flambeau.cuda.amp",
    "cuda.amp.autocast_mode": "flambeau.cuda.amp",
    "cuda.amp.grad_scaler": "flambeau.cuda.amp",
    "cuda.memory": "flambeau.cuda",
    "cuda.nvtx": "flambeau.torch._nvtx",
    "cuda.random": "flambeau.cuda",
    "cuda.streams": "flambeau.cuda",
    "distributions": "flambeau.distributions",
    "distributions.*": "flambeau.distributions",
    "distributions.constraint_registry": "flambeau.distributions.constraint_registry",
    "distributions.constraints": "flambeau.distributions.constraints",
    "distributions.kl": "flambeau.distributions.kl",
    "distributions.transforms": "flambeau.distributions.transforms",
    "distributions.utils": "flambeau.distributions.utils",
    "fft": "flambeau.fft",
    "func": "flambeau.func",
    "functional": "flambeau",
    "linalg": "flambeau.linalg",
    "nn": "flambeau.nn",
    "nn.attention": "",
    "nn.functional": "flambeau.nn.functional",
    "nn.init": "flambeau.nn.init",
    "nn.modules": "flambeau.nn",
    "nn.modules.*": "flambeau.nn",
    "nn.parameter": "flambeau.nn.parameter",
    "nn.utils": "flambeau.nn.utils",
    "nn.utils.clip_grad": "flambeau.nn.utils",
    "nn.utils.convert_parameters": "flambeau.nn.utils",
    "nn.utils.parametrizations": "flambeau.nn.utils.parametrizations",
    "nn.utils.parametrize": "flambeau.nn.utils.parametrize",
    "nn.utils.prune": "flambeau.nn.utils.prune",
    "nn.utils.rnn": "flambeau.nn.utils.rnn",
    "nn.utils.spectral_norm": "flambeau.nn.utils",
    "nn.utils.stateless": "flambeau.nn.utils.stateless",
    "nn.utils.weight_norm": "flambeau.nn.utils",
    "optim": "flambeau.optim",
    "optim.*": "flambeau.optim",
    "optim.lr_scheduler": "flambeau.optim.lr_scheduler",
    "optim.swa_utils": "flambeau.optim.swa_utils",
    "random": "flambeau.random",
    "serialization": "flambeau.serialization",
    "sparse": "flambeau.sparse",
    "special": "flambeau.special",
    "storage": "",
    "testing": "flambeau.testing",
    "utils": "",
    "utils._pytree": "flambeau.torch._pytree",
    "utils.checkpoint": "flambeau.utils.checkpoint",
    "utils.data": "flambeau.utils.data",
    "utils.data._utils": "",
    "utils.data._utils.collate": "flambeau.data.collate",
    "utils.data.dataloader": "flambeau.data",
    "utils.data.dataset": "flambeau.data",
    "utils.data.distributed": "flambeau.data",
    "utils.data.sampler": "flambeau.data",
    "utils.dlpack": "",
    "utils.hooks": "flambeau.autograd.hooks",
    "utils.model_zoo": "",
    "utils.tensorboard": "",
    "utils.tensorboard.writer": "",
}

# "module.name" -> where it is, as "package.module:attribute".
NAMES: dict[str, str] = {
    "Event": "flambeau.cuda:Event",
    "GradScaler": "flambeau.amp:GradScaler",
    "OutOfMemoryError": "builtins:MemoryError",
    "batch_norm": "flambeau.nn.functional:batch_norm",
    "compile": "flambeau.torch._extras:compile",
    "constant_pad_nd": "flambeau.nn.functional:pad",
    "cuda.OutOfMemoryError": "builtins:MemoryError",
    "embedding": "flambeau.nn.functional:embedding",
    "instance_norm": "flambeau.nn.functional:instance_norm",
    "save": "flambeau.torch._saving:save",
    "load": "flambeau.torch._saving:load",
    "serialization.save": "flambeau.torch._saving:save",
    "serialization.load": "flambeau.torch._saving:load",
    "sparse.FloatTensor": "flambeau.sparse:sparse_coo_tensor",
    "spmm": "flambeau.sparse:mm",
    "set_flush_denormal": "flambeau.torch._extras:set_flush_denormal",
    "typename": "flambeau.torch._extras:typename",
    "mps.is_available": "flambeau.torch._extras:no",
    "nn.SyncBatchNorm": "flambeau.torch._parallel:SyncBatchNorm",
    "nn.modules.transformer._get_clones": "flambeau.torch._extras:clones",
    "cuda.amp.custom_bwd": "flambeau.amp:custom_bwd",
    "cuda.amp.custom_fwd": "flambeau.amp:custom_fwd",
    "nn.DataParallel": "flambeau.torch._parallel:DataParallel",
    "nn.parallel.DataParallel": "flambeau.torch._parallel:DataParallel",
    "nn.parallel.DistributedDataParallel": "flambeau.torch._parallel:DistributedDataParallel",
    "nn.attention.SDPBackend": "flambeau.torch._attention:SDPBackend",
    "nn.attention.sdpa_kernel": "flambeau.torch._attention:sdpa_kernel",
    "nn.modules.batchnorm._BatchNorm": "flambeau.nn.batchnorm:_BatchNorm",
    "nn.modules.batchnorm._NormBase": "flambeau.nn.batchnorm:_NormBase",
    "nn.modules.conv._ConvNd": "flambeau.nn.conv:_ConvNd",
    "nn.modules.instancenorm._InstanceNorm": "flambeau.nn.batchnorm:_InstanceNorm",
    "nn.modules.loss._Loss": "flambeau.nn.loss:_Loss",
    "nn.modules.loss._WeightedLoss": "flambeau.nn.loss:_WeightedLoss",
    "nn.modules.utils._single": "flambeau.torch._extras:single",
    "nn.modules.utils._pair": "flambeau.torch._extras:pair",
    "nn.modules.utils._triple": "flambeau.torch._extras:triple",
    "nn.modules.utils._quadruple": "flambeau.torch._extras:quadruple",
    "nn.modules.utils._ntuple": "flambeau.torch._extras:ntuple",
    "serialization.add_safe_globals": "flambeau.torch._saving:add_safe_globals",
    "serialization.clear_safe_globals": "flambeau.torch._saving:clear_safe_globals",
    "serialization.get_safe_globals": "flambeau.torch._saving:get_safe_globals",
    "serialization.safe_globals": "flambeau.torch._saving:safe_globals",
    "testing.assert_allclose": "flambeau.torch._extras:assert_allclose",
    "utils.dlpack.from_dlpack": "flambeau:from_dlpack",
    "utils.dlpack.to_dlpack": "flambeau.torch._extras:to_dlpack",
    "utils.model_zoo.load_url": "flambeau.torch.hub:load_state_dict_from_url",
    "utils.tensorboard.SummaryWriter": "flambeau.torch._tensorboard:SummaryWriter",
    "utils.tensorboard.writer.SummaryWriter": "flambeau.torch._tensorboard:SummaryWriter",
    "xpu.is_available": "flambeau.torch._extras:no",
}
for _home in ("transforms", "transforms.transforms", "transforms.v2"):
    NAMES[f"torchvision.{_home}.ToTensor"] = "flambeau.torch._vision:ToTensor"
for _home in ("transforms.functional", "transforms.v2.functional"):
    NAMES[f"torchvision.{_home}.to_tensor"] = "flambeau.torch._vision:to_tensor"
for _home in ("datasets", "datasets.mnist"):
    for _name in ("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST"):
        NAMES[f"torchvision.{_home}.{_name}"] = f"flambeau.torch._vision:{_name}"
for _home in ("datasets", "datasets.vision"):
    NAMES[f"torchvision.{_home}.VisionDataset"] = "flambeau.torch._vision:VisionDataset"
NAMES["torchvision.datasets.folder.default_loader"] = "flambeau_vision.io:open_image"
NAMES["torchvision.ops.misc.FrozenBatchNorm2d"] = "flambeau_vision.ops:FrozenBatchNorm2d"
BASES |= {"mps": "", "xpu": "", "nn.parallel": "", "nn.parallel.distributed": ""}

# Names of Flambeau's own that PyTorch does not have: hidden, so that `hasattr(torch, name)` answers as in PyTorch.
HIDDEN = frozenset({"get", "list", "name", "explain"})

# Other packages under their PyTorch names, and the modules of them that are elsewhere.
PACKAGES = {"torchvision": "flambeau_vision", "torchaudio": "flambeau_audio"}
MOVED = {
    "torchvision.transforms.functional": "flambeau_vision.functional",
    "torchvision.transforms.transforms": "flambeau_vision.transforms",
    "torchvision.transforms.v2": "flambeau_vision.transforms",
    "torchvision.transforms.v2.functional": "flambeau_vision.functional",
    "torchvision.datasets.folder": "flambeau_vision.datasets",
    "torchvision.datasets.mnist": "flambeau_vision.datasets",
    "torchvision.datasets.cifar": "flambeau_vision.datasets",
    "torchvision.datasets.utils": "flambeau.torch._downloads",
    "torchvision.datasets.vision": "flambeau_vision.datasets",
    "torchvision.models": "flambeau.torch._models",
    "torchvision.models.detection": "flambeau.torch._models",
    "torchvision.models.segmentation": "flambeau.torch._models",
    "torchvision.models.feature_extraction": "flambeau_vision.models.features",
    "torchvision.tv_tensors": "flambeau_vision.types",
    "torchaudio.compliance": "flambeau_audio.functional",
    "torchaudio.compliance.kaldi": "flambeau_audio.functional.kaldi",
    "torchaudio.functional.filtering": "flambeau_audio.functional",
    "torchaudio.functional.functional": "flambeau_audio.functional",
    "torchaudio.pipelines": "flambeau_audio.models",
}
