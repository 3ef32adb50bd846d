"""Lesson 1: from the autoencoder to the VAE. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [data]
import genwerk
import torch
from genwerk.data import phases


def moons(lit, seed):
    """Moons of these lit fractions, each in a slightly different place and size."""
    u = torch.rand(3, len(lit), generator=torch.Generator().manual_seed(seed))
    return phases.draw(lit, u[0] - 0.5, u[1] - 0.5, 10.25 + 0.5 * u[2])


u = torch.rand(1000, generator=torch.Generator().manual_seed(0))
training = torch.cat([moons(0.45 + 0.10 * u, 1), moons(0.95 + 0.05 * u, 2)])  # nearly half, nearly full

# [train]
common = dict(latent=2, network="mlp", rounds=1200, lr=2e-3, evaluate=False)
common["network.widths"] = (256, 64)
ae = [genwerk.train("autoencoder", training, out=f"runs/ae{s}", seed=s, **common) for s in range(3)]
vae = [genwerk.train("vae", training, out=f"runs/vae{s}", seed=s, **common) for s in range(3)]

# [halfway]
half, full = moons(torch.full((50,), 0.5), 3), moons(torch.full((50,), 1.0), 4)


def distance(run):
    """From the picture halfway to the nearest moon that can be drawn (root mean square, of 50 ways)."""
    middle = genwerk.interpolate(run.model, half, full, steps=3)[:, 1]
    return phases.fraction(middle).residual.mean().item()


apart = {"ae": [distance(run) for run in ae], "vae": [distance(run) for run in vae]}
fade = phases.fraction((half + full) / 2).residual.mean().item()

# [figures-halfway]
for name, values in apart.items():
    for seed, value in enumerate(values):
        lesson.measured(f"halfway.{name}.{seed}", value, within=0.5)
lesson.measured("halfway.fade", fade)

# [draw-halfway]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

figure, axes = plt.subplots(3, 1, figsize=(9, 4.0), layout="constrained")
share = torch.linspace(0, 1, 9)[:, None, None, None]
show(axes[0], (1 - share) * half[:1] + share * full[:1], 9, "cross-fade of the two pictures")
for place, name, run in ((axes[1], "autoencoder", ae[0]), (axes[2], "VAE", vae[0])):
    show(place, run.interpolate(half[:1], full[:1], 9), 9, f"{name}: decoded on the line between the two codes")
lesson.picture(figure, "halfway")


# [kl]
def kl_terms(m, sigma):
    """KL(N(m, exp(sigma)^2) || N(0, 1)) of each dimension, in its three parts."""
    return torch.exp(2 * sigma) / 2, -(1 + 2 * sigma) / 2, m**2 / 2


x = training[::20]
m, log_var = vae[0].model.posterior(x)  # the network's name for 2 sigma is log variance
sigma = log_var / 2
parts = kl_terms(m, sigma)
ours = sum(parts).sum(1)
normal = torch.distributions.Normal
torchs = torch.distributions.kl_divergence(normal(m, sigma.exp()), normal(torch.zeros(2), 1.0)).sum(1)

eps = torch.randn(20_000, len(x), 2, generator=torch.Generator().manual_seed(0))
z = torch.exp(sigma) * eps + m  # the reparametrisation: noise scaled and shifted, so that gradients reach m and sigma
sampled = (normal(m, sigma.exp()).log_prob(z) - normal(0.0, 1.0).log_prob(z)).sum(2).mean()

# [figures-kl]
lesson.measured("kl.formula", ours.mean(), within=0.2)
lesson.measured("kl.sampled", sampled, within=0.2)
assert (ours - torchs).abs().max() < 1e-4
for part, values in zip(("variance", "log", "mean"), parts, strict=True):
    lesson.measured(f"kl.{part}", values.sum(1).mean(), within=0.3)

# [without-kl]
free = genwerk.train("vae", training, out="runs/free", seed=0, beta=0.0, **common)
width = {}
for name, run in (("with", vae[0]), ("without", free)):
    m, log_var = run.model.posterior(x)
    width[name] = (log_var / 2).exp().mean().item(), m.std().item()  # of the noise, of the means

# [figures-without-kl]
for name, (noise, means) in width.items():
    lesson.measured(f"width.{name}.noise", noise, within=0.5)
    lesson.measured(f"width.{name}.means", means, within=0.5)
lesson.measured("halfway.free", distance(free), within=0.5)

# [ten]
digits = genwerk.train("vae", "digits", latent=10, rounds=3000, out="runs/digits", evaluate=False)
m, log_var = digits.model.posterior(digits.data.test.batch().x)
each = sum(kl_terms(m, log_var / 2)).mean(0)  # nats that each of the ten dimensions carries
first, second = each.argsort(descending=True)[:2].tolist()

z = digits.encode(0).repeat(64, 1)  # one held-out digit
way = torch.linspace(-2.5, 2.5, 8)
z[:, first], z[:, second] = way.repeat_interleave(8), way.repeat(8)
grid = digits.decode(z)

# [figures-ten]
lesson.measured("ten.most", each.max(), within=0.2)
lesson.measured("ten.least", each.min(), within=0.5)
lesson.measured("ten.sum", each.sum(), within=0.1)
lesson.measured("ten.active", (each > 0.1).sum(), within=0.2)

# [draw-ten]
figure, axes = plt.subplots(1, 2, figsize=(8.6, 4.3), layout="constrained", width_ratios=(1.15, 1))
axes[0].bar(range(1, 11), each.detach(), color="#0072b2")
axes[0].set(xlabel="dimension of the code", ylabel="KL divergence (nats)", xticks=range(1, 11))
axes[0].set_title("what each dimension carries")
axes[0].spines[["top", "right"]].set_visible(False)
show(axes[1], grid.x, 8, f"dimension {first + 1} (down) and {second + 1} (across)")
lesson.picture(figure, "ten")

# [end]
lesson.done()
