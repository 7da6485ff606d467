"""Discrete Fourier transforms (PyTorch's `torch.fft`), with gradients.

>>> import flambeau as fb
>>> fb.fft.rfft(fb.tensor([1.0, 0.0, 0.0, 0.0])).real
tensor([1., 1., 1.])
"""

from __future__ import annotations

from flambeau.ops import fourier as _fourier

fft, ifft, fft2, ifft2, fftn, ifftn = _fourier.fft, _fourier.ifft, _fourier.fft2, _fourier.ifft2, _fourier.fftn, _fourier.ifftn
rfft, irfft, rfft2, irfft2, rfftn, irfftn = _fourier.rfft, _fourier.irfft, _fourier.rfft2, _fourier.irfft2, _fourier.rfftn, _fourier.irfftn
hfft, ihfft, hfft2, ihfft2, hfftn, ihfftn = _fourier.hfft, _fourier.ihfft, _fourier.hfft2, _fourier.ihfft2, _fourier.hfftn, _fourier.ihfftn
fftfreq, rfftfreq, fftshift, ifftshift = _fourier.fftfreq, _fourier.rfftfreq, _fourier.fftshift, _fourier.ifftshift
