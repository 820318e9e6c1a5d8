"""Forward and backward passes through the models.

In: capture, generation, likelihood, gradients of answer tokens (``backward``) and of weights (``gradients``), changed
prompts (``variants``), and the targets that are differentiated. Not here: what is made of the numbers (``attribution``,
``mapping``).
"""
