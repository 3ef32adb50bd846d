"""Folders of diffusers and transformers in and out, without either library: our modules bear their names.

``recognised`` tells such a folder, ``describe`` reads what is in it, ``load`` makes a model of it and ``save`` writes
one. The same folder, prompt and seed then give the same picture there and here (ours is the first of that seed), but
for these:

* image to image by PNDM below strength 1, where diffusers tells the network the time of the step after;
* Heun in fewer than about 20 steps, where a step falls so far that we take Euler's;
* numbers of steps that do not divide those of training with trailing spacing, where diffusers steps past the next time;
* masks that cut through places of the code: what is not wholly known is made anew, where diffusers looks at one pixel;
* prompts with "!" where that fills texts up (Stable Diffusion 2): transformers takes it for the filling.
"""

from genwerk.interop.folders import describe, load, recognised, save

__all__ = ["describe", "load", "recognised", "save"]
