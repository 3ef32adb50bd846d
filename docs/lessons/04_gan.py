"""Lesson 4: the GAN game and why it is hard. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [one-dimension]
from pathlib import Path

from genwerk.gallery import figures

*_, game = figures.draw("gan-1d", Path("pictures"), seed=0)  # trains on two Gaussians and draws six rounds
for name, value in game.items():
    print(f"{name}: {value:.3f}")

# [figures-one-dimension]
lesson.measured("line.tv-start", game["total variation at the start"], within=0.2)
lesson.measured("line.tv-end", game["total variation at the end"], within=0.5)
lesson.measured("line.d-start", game["mean |D - D*| at the start"], within=0.2)
lesson.measured("line.d-end", game["mean |D - D*| at the end"], within=0.5)
lesson.measured("line.half", game["mean D at the end"], within=0.1)

# [disjoint]
from genwerk.gallery.figures import disjoint

gradient = {
    (name, theta): abs(disjoint.read(config, theta, seed=0, rounds=40).gradient)
    for name, config in disjoint.CONFIGS.items()
    for theta in (1.0, 0.5, 0.25)  # the distance of the two lines
}

# [figures-disjoint]
for theta in (1.0, 0.5, 0.25):
    assert gradient["minimax GAN", theta] < 1e-3
    lesson.measured(f"slope.wgan.{theta}", gradient["WGAN-GP", theta], within=0.1)

# [losses]
import torch
from genwerk.nn.adversarial.objectives import LeastSquares, Minimax, NonSaturating, Wasserstein

score = torch.linspace(-6, 6, 241, requires_grad=True)  # the discriminator's output for a sample: -6 is surely fake
slopes = {}
for objective in (Minimax(), NonSaturating(), LeastSquares(), Wasserstein()):
    loss = torch.stack([objective.generator(s[None]) for s in score]).sum()
    slopes[type(objective).__name__] = torch.autograd.grad(loss, score)[0].abs()

# [figures-losses]
surely_fake, ahead = 40, 200  # scores of -4 and of 4
lesson.measured("pull.minimax", slopes["Minimax"][surely_fake], within=0.01)
lesson.measured("pull.nonsaturating", slopes["NonSaturating"][surely_fake], within=0.01)
lesson.measured("pull.leastsquares", slopes["LeastSquares"][surely_fake], within=0.01)
lesson.measured("pull.nonsaturating-ahead", slopes["NonSaturating"][ahead], within=0.01)
lesson.measured("pull.leastsquares-ahead", slopes["LeastSquares"][ahead], within=0.01)

# [draw-losses]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
names = {
    "Minimax": "minimax, $\\log(1 - D)$",
    "NonSaturating": "non-saturating, $-\\log D$",
    "LeastSquares": "least squares (LSGAN)",
    "Wasserstein": "Wasserstein (WGAN)",
}
for (kind, slope), colour in zip(slopes.items(), ("#d55e00", "#e69f00", "#009e73", "#0072b2"), strict=True):
    axes.plot(score.detach(), slope, color=colour, label=names[kind], linewidth=2)
axes.set(xlabel="discriminator output for a sample (left: surely fake)", ylabel="size of the gradient", ylim=(0, 3))
axes.set_title("how hard a sample is pulled", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
lesson.picture(figure, "losses")

# [games]
import genwerk

lengths = {"dcgan": 600, "lsgan": 600, "wgan": 300, "wgan-gp": 300}
runs = {name: genwerk.train(name, "digits", rounds=n, evaluate=False, samples=0) for name, n in lengths.items()}
for gamma in (0.3, 0.9):
    runs[f"began {gamma}"] = genwerk.train(
        "began", "digits", gamma=gamma, rounds=800, out=f"runs/began{gamma}", evaluate=False
    )

# [measure-games]
from genwerk.metrics.frechet import frechet_distance

real = runs["dcgan"].data.train.batch().x.flatten(1).double()


def variety(x):
    """Mean distance of two images."""
    return torch.pdist(x.flatten(1).double()).mean().item()


samples = {name: run.sample(500).x for name, run in runs.items()}
frechet = {name: float(frechet_distance(x.flatten(1).double(), real)) for name, x in samples.items()}

# [figures-games]
for name in runs:
    lesson.measured(f"games.{name.replace(' ', '-')}.frechet", frechet[name], within=0.6)
    lesson.measured(f"games.{name.replace(' ', '-')}.variety", variety(samples[name]), within=0.6)
lesson.measured("games.real.variety", variety(real[:500]))

# [draw-games]
figure, axes = plt.subplots(2, 3, figsize=(8.4, 6), layout="constrained")
for place, (name, x) in zip(axes.flat, samples.items(), strict=True):
    show(place, x[:36], 6, f"{name}   distance {frechet[name]:.1f}, variety {variety(x):.1f}")
    place.title.set_fontsize(9.5)
lesson.picture(figure, "games")

# [end]
lesson.done()
