"""Lesson 5: StyleGAN's styles, mixing and truncation. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [train]
import genwerk
import torch

run = genwerk.train("stylegan", "digits", rounds=1500, out="runs/stylegan", evaluate=False)
model = run.model
print(model.style_sizes)  # the side in pixels of what each style acts on: two layers of 4 pixels, two of 8

# [mix]
from genwerk.tasks import steering

rows, columns = (0, 1, 2, 3), (4, 5, 6, 7, 8)
coarse = steering.mix(model, rows, columns, layers=[0, 1], seed=0)  # styles at 4 pixels from the column
fine = steering.mix(model, rows, columns, layers=[2, 3], seed=0)  # styles at 8 pixels from the column

# [measure-mix]
many = range(60)
pairs = {
    name: steering.mix(model, many, range(60, 64), layers, seed=0)
    for name, layers in (("coarse", [0, 1]), ("fine", [2, 3]))
}


def kept(mixing):
    """How far the mixed image is from its row and from its column (root mean square)."""
    to_row = (mixing.table - mixing.rows[:, None]).square().mean().sqrt().item()
    to_column = (mixing.table - mixing.columns[None]).square().mean().sqrt().item()
    return to_row, to_column


apart = {name: kept(found) for name, found in pairs.items()}

# [truncate]
real = run.data.train.batch().x.flatten(1)
psis = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5)
made = steering.truncate(model, range(300), psis, seed=0)


def variety(x):
    """Mean distance of two images."""
    return torch.pdist(x.flatten(1)).mean().item()


def nearest(x):
    """Mean distance of an image from the nearest real one: a rough measure of quality."""
    return torch.cdist(x.flatten(1), real).amin(1).mean().item()


trade = {psi: (variety(made[:, i]), nearest(made[:, i])) for i, psi in enumerate(psis)}
held_out = run.data.test.batch().x

# [spaces]
found = {one.space: one for one in steering.entanglement(model, pairs=1000, seed=0)}
length = {space: one.full.mean for space, one in found.items()}

# [figures]
for name, (to_row, to_column) in apart.items():
    lesson.measured(f"mix.{name}.row", to_row, within=0.3)
    lesson.measured(f"mix.{name}.column", to_column, within=0.3)
for psi in psis[1:]:
    lesson.measured(f"psi.{psi}.variety", trade[psi][0], within=0.3)
    lesson.measured(f"psi.{psi}.nearest", trade[psi][1], within=0.3)
lesson.measured("real.variety", variety(held_out), within=0.01)
lesson.measured("real.nearest", nearest(held_out), within=0.01)
lesson.measured("length.z", length["z"], within=0.5)
lesson.measured("length.w", length["w"], within=0.5)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for place, title, mixing in ((axes[0], "coarse", coarse), (axes[1], "fine", fine)):
    show(place, mixing.sheet().flatten(0, 1), 6, f"{title} styles of the column, the others of the row")
lesson.picture(figure, "mixing")

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", width_ratios=(1, 1.2))
show(axes[0], made[:6].flatten(0, 1), 6, "ψ = " + "    ".join(map(str, psis)))
axes[1].plot(psis, [trade[p][0] for p in psis], "o-", color="#0072b2", label="two samples")
axes[1].plot(psis, [trade[p][1] for p in psis], "s-", color="#e69f00", label="sample and nearest real digit")
axes[1].axhline(variety(held_out), color="#0072b2", linestyle=":", label="two real digits")
axes[1].axhline(nearest(held_out), color="#e69f00", linestyle=":", label="held-out digit and nearest training digit")
axes[1].set(xlabel="ψ", ylabel="mean distance", ylim=(0, None))
axes[1].legend(fontsize=8)
lesson.picture(figure, "truncation")

# [end]
lesson.done()
