"""`flambeau.data` under the name that PyTorch gives it, `torch.utils.data`.

>>> from flambeau.utils.data import DataLoader
>>> [batch.tolist() for batch in DataLoader(range(5), batch_size=2)]
[[0, 1], [2, 3], [4]]
"""

from flambeau.data import *  # noqa: F403
from flambeau.data import __all__ as __all__
