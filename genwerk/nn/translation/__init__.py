"""Networks from an image to another."""

from genwerk.nn.translation.edsr import EDSRConfig
from genwerk.nn.translation.network import TranslationNetwork
from genwerk.nn.translation.resnet import ResNetGeneratorConfig
from genwerk.nn.translation.unet import UNetGeneratorConfig

__all__ = ["EDSRConfig", "ResNetGeneratorConfig", "TranslationNetwork", "UNetGeneratorConfig"]
