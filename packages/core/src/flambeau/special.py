"""Special functions (PyTorch's `torch.special`), with gradients.

>>> import flambeau as fb
>>> fb.special.ndtr(fb.tensor([0.0]))
tensor([0.5000])
"""

from __future__ import annotations

from flambeau.ops import pointwise as _pointwise
from flambeau.ops import reduction as _reduction
from flambeau.ops import special as _special

digamma = psi = _pointwise.digamma
gammaln, polygamma, multigammaln = _pointwise.lgamma, _pointwise.polygamma, _special.multigammaln
gammainc, gammaincc, zeta = _special.gammainc, _special.gammaincc, _special.zeta
erf, erfc, erfcx, erfinv = _pointwise.erf, _pointwise.erfc, _special.erfcx, _pointwise.erfinv
ndtr, ndtri, log_ndtr, entr = _special.ndtr, _special.ndtri, _special.log_ndtr, _special.entr
i0, i0e, i1, i1e = _pointwise.i0, _special.i0e, _special.i1, _special.i1e
exp2, expm1, log1p, expit, logit = _pointwise.exp2, _pointwise.expm1, _pointwise.log1p, _pointwise.sigmoid, _pointwise.logit
xlogy, xlog1py, sinc, round = _pointwise.xlogy, _special.xlog1py, _pointwise.sinc, _pointwise.round
softmax, log_softmax, logsumexp = _reduction.softmax, _special.log_softmax, _reduction.logsumexp
