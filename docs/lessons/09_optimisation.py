"""Lesson 9: generative operators in optimisation. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson

lesson = Lesson(__file__)

# [beam]
import numpy as np

segments = 20
arm = np.linspace(1, 0, segments, endpoint=False)  # distance of each segment of a beam from its tip


def beam(x):
    """Mass and deflection of a beam whose segments have these thicknesses: both are to be small."""
    return x.mean(), np.log10(np.mean(arm**2 / x**3))


# [manifold]
best = np.clip(np.geomspace(0.03, 3, 400)[:, None] * np.sqrt(arm), 0.05, 1)  # the best beams, by Lagrange
centred = best - best.mean(0)
variance = np.linalg.svd(centred, compute_uv=False) ** 2
share = variance[:3].sum() / variance.sum()  # of the variance of 20 thicknesses that lies in three directions

# [optimise]
import genwerk

found = {
    name: genwerk.optimise(
        beam, lower=0.05, upper=1.0, variables=segments, algorithm=name, evaluations=2000, runs=3, reference=(1.1, 4.5)
    )
    for name in ("gmoea", "nsga2")
}
welded = {
    name: genwerk.optimise("welded-beam", algorithm=name, evaluations=2000, runs=3, reference=(40, 0.015))
    for name in ("gmoea", "nsga2")
}

# [figures]
front = np.stack([best.mean(1), np.log10(np.mean(arm**2 / best**3, 1))], 1)


def distance(one):
    """Mean distance of the known front from the nearest solution found (IGD), of each run."""
    away = [np.linalg.norm(front[:, None] - run[0].f[None], axis=2).min(1).mean() for run in one.fronts]
    return [float(a) for a in away]


igd = {name: distance(one) for name, one in found.items()}
volume = {name: [float(v) for v in one.curve.points[-1].figures["hv"]] for name, one in welded.items()}

# [write]
lesson.measured("share", share, within=0.01)
for name in ("gmoea", "nsga2"):
    for run in range(3):
        lesson.measured(f"igd.{name}.{run}", igd[name][run], within=0.6)
    lesson.measured(f"welded.{name}.least", min(volume[name]), within=0.1)
    lesson.measured(f"welded.{name}.most", max(volume[name]), within=0.1)
last = found["gmoea"].curve.points[-1].figures
models = [last["share of inverse regression"][run] + last["share of GAN"][run] for run in range(3)]
lesson.measured("models", np.mean(models), within=0.3)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
axes[0].plot(*front.T, color="black", linewidth=1, label="known front")
for name, colour in (("nsga2", "#d55e00"), ("gmoea", "#0072b2")):
    axes[0].plot(*found[name].fronts[0][0].f.T, ".", color=colour, markersize=5, label=name)
axes[0].set(xlabel="mass", ylabel="deflection (log10)")
axes[0].set_title("the beam after 2,000 evaluations", loc="left")
axes[0].legend()
for name, colour in (("nsga2", "#d55e00"), ("gmoea", "#0072b2")):
    points = found[name].curve.points
    at = [p.evaluations for p in points]
    hv = np.array([p.figures["hv"] for p in points])
    axes[1].fill_between(at, hv.min(1), hv.max(1), color=colour, alpha=0.25, linewidth=0)
    axes[1].plot(at, np.median(hv, 1), color=colour, label=name)
axes[1].set(xlabel="evaluations", ylabel="hypervolume")
axes[1].set_title("the way there: three runs", loc="left")
axes[1].legend()
lesson.picture(figure, "beam")

# [end]
lesson.done()
