"""Lesson 2: mixtures, EM and the ELBO. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson

lesson = Lesson(__file__)

# [em]
import torch
from genwerk.data.toys import TOYS

toy = TOYS["crescents"]  # two interleaved half moons, a density that is known
x = toy.sample(2000, seed=0)
K = 8
means, covs, weights = x[:K].clone(), torch.eye(2).double().repeat(K, 1, 1), torch.full((K,), 1 / K).double()
likelihood, bound_before, bound_after = [], [], []


def log_joint():
    """log p(x, k) = log w_k + log N(x; m_k, S_k), with shape (n, K)."""
    return weights.log() + torch.distributions.MultivariateNormal(means, covs).log_prob(x[:, None])


r = torch.full((len(x), K), 1 / K).double()  # q(k | x): to begin with, it knows nothing
for _ in range(60):
    joint = log_joint()
    bound_before.append((r * (joint - r.clamp(min=1e-300).log())).sum(1).mean().item())
    r = joint.softmax(1)  # E step: q(k | x) = p(k | x)
    bound_after.append((r * (joint - r.clamp(min=1e-300).log())).sum(1).mean().item())
    likelihood.append(joint.logsumexp(1).mean().item())
    n = r.sum(0)  # M step: every Gaussian is fitted to its share of the points
    means, weights = r.T @ x / n[:, None], n / len(x)
    off = x[:, None] - means
    covs = torch.einsum("nk,nki,nkj->kij", r, off, off) / n[:, None, None] + 1e-6 * torch.eye(2)

# [figures-em]
falls = sum(b < a - 1e-9 for a, b in zip(likelihood, likelihood[1:], strict=False))
lesson.measured("em.first", likelihood[0], within=0.05)
lesson.measured("em.last", likelihood[-1], within=0.05)
lesson.measured("em.falls", falls, within=0)
lesson.measured("em.gap-before", likelihood[1] - bound_before[1], within=0.3)
assert max(abs(a - b) for a, b in zip(likelihood, bound_after, strict=True)) < 1e-9

# [elbo]
from pathlib import Path

from genwerk.gallery import figures

*_, found = figures.draw("elbo", Path("pictures"), seed=0)  # a VAE whose code is one number: integrals are sums
for name, value in found.items():
    print(f"{name}: {value:.4f}")

# [figures-elbo]
lesson.measured("elbo.q.log-p", found["log p(x) when q alone has been fitted"], within=0.02)
lesson.measured("elbo.q.first", found["ELBO when q begins"], within=0.05)
lesson.measured("elbo.q.last", found["ELBO when q alone has been fitted"], within=0.02)
lesson.measured("elbo.both.log-p", found["log p(x) when both have been fitted"], within=0.02)
lesson.measured("elbo.both.elbo", found["ELBO when both have been fitted"], within=0.02)
assert found["greatest |log p(x) - ELBO - KL|"] < 1e-4

# [how-many]
import genwerk

truth = -toy.entropy  # the best mean log-likelihood that any model can have
scores = {}
for k in (1, 2, 4, 8, 16, 32):
    run = genwerk.train("mixture", "crescents", components=(k,), out=f"runs/mixture{k}", evaluate=False)
    scores[k] = run.log_likelihood("test").nats

# [infinite]
vae = genwerk.train(
    "vae",
    "crescents",
    latent=2,
    rounds=3000,
    lr=2e-3,
    annealing="linear",
    evaluate=False,
    **{"network.widths": (64, 64), "likelihood.sigma": 0.15},  # the width of every Gaussian, in standard deviations
)
points = vae.data.test.batch(slice(1000)).x
bound = vae.log_likelihood(points, importance_samples=1).nats
scores["vae"] = vae.log_likelihood(points, importance_samples=1000).nats

z = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))  # 400 components of infinitely many
centres = vae.decode(z).x

# [figures-infinite]
lesson.measured("truth", truth, within=0.01)
for k in (1, 2, 4, 8, 16, 32):
    lesson.measured(f"mixture.{k}", scores[k], within=0.05)
lesson.measured("vae.bound", bound, within=0.05)
lesson.measured("vae.score", scores["vae"], within=0.05)
lesson.measured("vae.gain", scores["vae"] - bound, within=0.3)

# [draw-infinite]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Ellipse

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", width_ratios=(1, 1, 1.1))
for place in axes[:2]:
    place.plot(*x[:800].T, ".", color="#bbbbbb", markersize=2)
    place.set(xlim=(-1.5, 2.5), ylim=(-1.1, 1.6), xticks=[], yticks=[], aspect="equal")
    place.spines[:].set_visible(False)
for m, s in zip(means, covs, strict=True):
    width, axis = torch.linalg.eigh(s)
    turn = torch.atan2(axis[1, 1], axis[0, 1]).rad2deg().item()
    size = [4 * v**0.5 for v in width.tolist()[::-1]]  # two standard deviations each way
    axes[0].add_patch(Ellipse(m.tolist(), *size, angle=turn, fill=False, color="#d55e00", linewidth=1.5))
axes[0].set_title(f"EM: {K} Gaussians", loc="left")
axes[1].plot(*centres.T, "o", color="#0072b2", markersize=3, alpha=0.5)
axes[1].set_title("VAE: 400 centres $\\mu(z)$", loc="left")
ks = [1, 2, 4, 8, 16, 32]
axes[2].semilogx(ks, [scores[k] for k in ks], "o-", color="#d55e00", label="mixture of K Gaussians", base=2)
axes[2].axhline(scores["vae"], color="#0072b2", label="VAE")
axes[2].axhline(truth, color="black", linestyle=":", label="the truth itself")
axes[2].set(xlabel="K", xticks=ks, xticklabels=ks)
axes[2].set_title("log-likelihood of new points (nats)", loc="left")
axes[2].legend()
lesson.picture(figure, "mixtures")

# [end]
lesson.done()
