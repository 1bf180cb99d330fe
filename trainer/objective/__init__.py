"""What is learnt: which embeddings belong together. Losses, their sum, negatives of all processes, large batches."""

from trainer.objective.gather import Gather
from trainer.objective.losses import infonce, sigmoid
from trainer.objective.objective import Losses, Objective

__all__ = ["Gather", "Losses", "Objective", "infonce", "sigmoid"]
