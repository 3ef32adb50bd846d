"""Lesson 10: five families on the same data. Run it as it stands; it writes figures and pictures."""

from lesson import HERE, Lesson

lesson = Lesson(__file__)

# [compare]
import genwerk

found = genwerk.compare(
    data="digits",  # or a folder of your own
    recipes=("vae", "mixture"),
    seeds=1,
    minutes=0.05,  # of one core, for each training
    evaluate=genwerk.EvaluateConfig(samples=300),
    out="comparison",
)
for name in found.contestants:
    (one,) = found.of(name)
    distance = one.figure("frechet_distance")
    print(f"{name}: Fréchet distance {distance.value:.2f}, that of real digits {distance.floor:.2f}")

# [report]
import csv

families = {"vae": "VAE", "gan": "GAN", "realnvp": "flow", "pixelcnn": "autoregressive", "ddpm": "diffusion"}
with open(HERE.parent / "reports" / "digits" / "report.csv", newline="") as file:
    rows = {(row["contestant"], row["key"]): row for row in csv.DictReader(file)}


def value(name, key, column="mean"):
    """A figure of one family: its mean over three trainings, or its spread over these."""
    return float(rows[name, key][column])


bits = {name: value(name, "bits_per_dim") for name in ("realnvp", "pixelcnn", "ddpm")}

# [figures]
for name in found.contestants:
    distance = found.of(name)[0].figure("frechet_distance")
    lesson.measured(f"small.{name}", distance.value, within=0.5)
lesson.measured("small.floor", distance.floor, within=0.2)
for name in families:
    lesson.measured(f"{name}.distance", value(name, "frechet_distance"), within=0)
    lesson.measured(f"{name}.spread", value(name, "frechet_distance", "training_spread"), within=0)
    lesson.measured(f"{name}.recall", value(name, "recall"), within=0)
    lesson.measured(f"{name}.speed", value(name, "samples_per_second"), within=0)
    lesson.measured(f"{name}.training", value(name, "training_examples_per_second"), within=0)
for name, figure in bits.items():
    lesson.measured(f"{name}.bits", figure, within=0)
for name in ("mixture", "autoencoder-mixture"):
    lesson.measured(f"{name}.distance", value(name, "frechet_distance"), within=0)
lesson.measured("gan.sampling", value("gan", "frechet_distance", "sampling_spread"), within=0)
lesson.measured("floor", value("vae", "frechet_distance", "floor"), within=0)
lesson.measured("noise", value("vae", "frechet_distance", "noise"), within=0)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained", sharey=True)
names = list(families)[::-1]
for i, name in enumerate(names):
    mean, spread = value(name, "frechet_distance"), value(name, "frechet_distance", "training_spread")
    axes[0].errorbar(mean, i, xerr=spread, fmt="o", color="#0072b2", capsize=3)
    axes[1].plot(value(name, "samples_per_second"), i, "o", color="#d55e00")
axes[0].axvline(value("vae", "frechet_distance", "floor"), color="black", linestyle=":")
axes[0].text(value("vae", "frechet_distance", "floor") + 0.1, 4.2, "real digits", fontsize=9)
axes[0].set(xlabel="Fréchet distance (± spread of three trainings)", xlim=(0, 9), ylim=(-0.5, 4.6))
axes[0].set_yticks(range(5), [families[name] for name in names])
axes[1].set(xlabel="samples per second", xscale="log")
lesson.picture(figure, "families")

# [end]
lesson.done()
