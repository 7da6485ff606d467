"""`torch.version`."""

from flambeau.torch._version import __version__ as __version__

cuda = None
hip = None
git_version = "flambeau"
debug = False
