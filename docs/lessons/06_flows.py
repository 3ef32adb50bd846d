"""Lesson 6: flows, exact likelihood and Bayes' classifier. Run it as it stands; it writes figures and pictures."""

from lesson import Lesson, show

lesson = Lesson(__file__)

# [train]
import genwerk
import torch
from genwerk.data.toys import TOYS

toy = TOYS["crescents"]  # two interleaved half moons, whose density is known
flow = genwerk.train("realnvp", "crescents", rounds=1500, out="runs/flow", evaluate=False)
test = flow.data.test.batch().x
nats = flow.log_likelihood(test).nats
truth = toy.log_prob(test).mean().item()  # what the true density gives to the same points

# [by-hand]
model = flow.model.eval()
points = test[:200]
z = flow.encode(points)
jacobian = torch.autograd.functional.jacobian(lambda x: model.encode(x).sum(0), points).movedim(1, 0)
log_prior = -0.5 * z.square().sum(1) - z.shape[1] * 0.5 * torch.log(torch.tensor(2 * torch.pi))
by_hand = log_prior + jacobian.det().abs().log()
disagreement = (by_hand - model.log_prob(points)).abs().max().item()

# [promises]
from genwerk.nn.flows.check import mass

there_and_back = (flow.decode(z).x - points).abs().max().item()
total = mass(lambda x: model.log_prob(x.float()), low=-3, high=4, steps=401)  # the integral of the density

# [figures-flow]
lesson.measured("flow.nats", nats, within=0.05)
lesson.measured("flow.truth", truth, within=0.01)
lesson.measured("flow.gap", truth - nats, within=0.3)
assert disagreement < 1e-3
assert there_and_back < 1e-3
lesson.measured("flow.mass", total, within=0.01)

# [classify]
classifier = genwerk.train("cmaf", "digits", rounds=900, out="runs/digits", evaluate=False)
digits = classifier.data.test.batch()
right = (classifier.classify(digits.x).prediction == digits.condition).float().mean().item()

mixture = genwerk.train("cmixture", "digits", out="runs/mixture", evaluate=False)
right_mixture = (mixture.classify(digits.x).prediction == digits.condition).float().mean().item()

found = classifier.classify(digits.x)
sure = found.probabilities.amax(1).mean().item()  # how sure it says it is

# [strange]
usual = found.log_evidence  # log p(x), whatever the class
blank = torch.zeros_like(digits.x)
noise = torch.rand(digits.x.shape, generator=torch.Generator().manual_seed(0))
strange = {name: classifier.classify(x).log_evidence.mean().item() for name, x in (("blank", blank), ("noise", noise))}

# [figures-classify]
lesson.measured("bayes.flow", right, within=0.05)
lesson.measured("bayes.mixture", right_mixture, within=0.05)
lesson.measured("bayes.sure", sure, within=0.05)
lesson.measured("strange.digits", usual.mean(), within=0.2)
lesson.measured("strange.blank", strange["blank"], within=0.5)
lesson.measured("strange.noise", strange["noise"], within=0.5)

# [draw]
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

figure, axes = plt.subplots(1, 4, figsize=(13, 3.3), layout="constrained")
line = torch.linspace(-2.4, 2.4, 25)
steps = torch.linspace(-2.4, 2.4, 200)
ways = [torch.stack([torch.full_like(steps, v), steps], 1) for v in line]
ways += [way.flip(1) for way in ways]
for way in ways:
    moved = flow.decode(way).x
    axes[0].plot(*way.T, color="#0072b2", linewidth=0.5)
    axes[1].plot(*moved.T, color="#0072b2", linewidth=0.5)
axes[0].plot(*flow.encode(test[:1500]).T, ".", color="#d55e00", markersize=2)
axes[1].plot(*test[:1500].T, ".", color="#d55e00", markersize=2)
axes[0].set_title("z = f(x): data become noise", loc="left")
axes[1].set_title("x = f⁻¹(z): the same grid of z", loc="left")
grid = torch.cartesian_prod(torch.linspace(-1.5, 2.5, 160), torch.linspace(-1.1, 1.6, 120))
with torch.no_grad():
    for place, density in ((axes[2], model.log_prob(grid).exp()), (axes[3], toy.log_prob(grid).exp())):
        place.imshow(density.view(160, 120).T, origin="lower", extent=(-1.5, 2.5, -1.1, 1.6), cmap="magma", vmax=1)
axes[2].set_title("density of the flow", loc="left")
axes[3].set_title("density of the data", loc="left")
axes[0].set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
for place in axes[1:]:
    place.set(xlim=(-1.5, 2.5), ylim=(-1.1, 1.6))
for place in axes:
    place.set(xticks=[], yticks=[], aspect="equal")
lesson.picture(figure, "flow")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
show(axes, classifier.sample(50, label=[str(i) for _ in range(5) for i in range(10)], seed=1), 10)
lesson.picture(figure, "digits")

# [end]
lesson.done()
