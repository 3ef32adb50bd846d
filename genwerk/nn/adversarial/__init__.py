"""Networks and losses of games between a generator and a discriminator."""

from genwerk.nn.adversarial.dcgan import DCGANConfig
from genwerk.nn.adversarial.mlp import MLPConfig
from genwerk.nn.adversarial.networks import AdversarialNetwork
from genwerk.nn.adversarial.resnet import ResNetConfig

__all__ = ["AdversarialNetwork", "DCGANConfig", "MLPConfig", "ResNetConfig"]
