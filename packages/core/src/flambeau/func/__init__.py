"""Functions of functions, as in `torch.func`: derivatives, batches, and modules as pure functions.

>>> import flambeau as fb
>>> x = fb.tensor([1.0, 2.0, 3.0])
>>> fb.func.grad(lambda x: (x**3).sum())(x)
tensor([ 3., 12., 27.])
>>> fb.func.vmap(fb.func.grad(lambda x: x**3))(x)
tensor([ 3., 12., 27.])
"""

from __future__ import annotations

from flambeau.autograd.vmap import vmap
from flambeau.base.lazy import lazy_attributes
from flambeau.func.derivatives import grad, grad_and_value, jvp, linearize, vjp
from flambeau.func.jacobians import hessian, jacfwd, jacrev
from flambeau.func.modules import stack_module_state

__all__ = """
functional_call grad grad_and_value hessian jacfwd jacrev jvp linearize stack_module_state vjp vmap
""".split()

__getattr__, __dir__ = lazy_attributes(globals(), attributes={"functional_call": "flambeau.nn.utils.stateless:functional_call"})
