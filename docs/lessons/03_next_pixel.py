"""Lesson 3: the next pixel. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [data]
import genwerk
import torch

data = genwerk.open_data(genwerk.DataConfig(source="sprites"))  # creatures of 16 x 16 pixels in 16 colours
palette = torch.tensor(data.spec.palette) / 255
x = data.test.batch(slice(500)).x


def colours(x):
    """For each pixel the nearest of the palette's colours, and how far it is from it, each with shape (n, h, w)."""
    distance = torch.cdist(x.movedim(1, 3).reshape(-1, 3), palette).min(1)
    return distance.indices.view(len(x), *x.shape[2:]), distance.values.view(len(x), *x.shape[2:])


mean = (x[0::2] + x[1::2]) / 2  # what a regression answers when two continuations are equally likely
foreign = (colours(mean)[1] > 0.02).float().mean().item()

# [simple]
index = colours(x)[0]
uniform = index[0].numel() * torch.log(torch.tensor(16.0)).item()
counts = torch.bincount(colours(data.train.batch(slice(1000)).x)[0].flatten(), minlength=16) + 1.0
frequencies = -(counts / counts.sum()).log()[index].sum((1, 2)).mean().item()

# [train]
run = genwerk.train("pixelcnn", "sprites", width=32, layers=6, rounds=300, out="runs/sprites", evaluate=False)
scored = run.log_likelihood(x).each  # exact, in nats

# [sample]
samples = {t: run.sample(24, temperature=t).x for t in (0.5, 0.8, 1.0)}
strange = (colours(samples[1.0])[1] > 0.02).float().mean().item()

# [complete]
known = run.complete("top-half", n=6, k=4, seed=0)


def symmetry(x):
    """The share of the pixels of the lower half, ground left out, that look like their mirror image."""
    index = colours(x)[0][:, 8:]
    body = index != 0
    return (index == index.flip(2))[body].float().mean().item()


changed = (known.x.view(6, 4, 3, 16, 16)[:, :, :, :8] - data.test.batch(slice(6)).x[:, None, :, :8]).abs().max().item()
mirrored = {"data": symmetry(x), "model": symmetry(run.complete("top-half", n=40, k=1).x)}
shuffled = x.clone()
shuffled[:, :, 8:, 8:] = x.roll(1, 0)[:, :, 8:, 8:]  # the right half of another creature
mirrored["chance"] = symmetry(shuffled)

# [figures]
lesson.measured("foreign.mean", foreign, within=0.1)
lesson.measured("foreign.samples", strange, within=0)
lesson.measured("nats.uniform", uniform, within=0.001)
lesson.measured("nats.frequencies", frequencies, within=0.05)
lesson.measured("nats.model", -scored.mean(), within=0.15)
lesson.measured("bits.model", -scored.mean() / 256 / torch.log(torch.tensor(2.0)), within=0.15)
lesson.measured("changed", changed, within=0)
for name, value in mirrored.items():
    lesson.measured(f"symmetry.{name}", value, within=0.15)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(11, 4.1), layout="constrained")
show(axes[0], x[:24], 4, "held-out creatures")
for place, (t, made) in zip(axes[1:], samples.items(), strict=True):
    show(place, made, 4, f"sampled, temperature {t}")
lesson.picture(figure, "samples")

hidden = data.test.batch(slice(6)).x.clone()
hidden[:, :, 8:] = 0.75
rows = torch.cat([hidden[:, None], known.x.view(6, 4, 3, 16, 16), data.test.batch(slice(6)).x[:, None]], 1)
figure, axes = plt.subplots(figsize=(6, 6.2), layout="constrained")
show(axes, rows.flatten(0, 1), 6, "known, four completions, original")
lesson.picture(figure, "completions")

figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
pair = [x[0], x[1], mean[0]]
for place, image, title in zip(axes, pair, ("one creature", "another", "their mean"), strict=True):
    show(place, image[None], 1, title)
lesson.picture(figure, "mean")

# [end]
lesson.done()
