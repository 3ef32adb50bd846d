"""Networks that tell data from noise at any level."""

from genwerk.nn.diffusion.denoiser import Denoiser
from genwerk.nn.diffusion.dense_denoiser import DenseDenoiserConfig
from genwerk.nn.diffusion.unet import UNetConfig

__all__ = ["DenseDenoiserConfig", "Denoiser", "UNetConfig"]
