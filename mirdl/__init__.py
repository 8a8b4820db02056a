"""mirdl: deep learning for music tagging, lesson by lesson."""

import warnings

__version__ = "0.1.0"

# tqdm (and accelerate, which imports it) wants ipywidgets wherever it finds a notebook; its plain
# bars do, and a warning with a path would differ between the stored outputs of two machines.
warnings.filterwarnings("ignore", message="IProgress not found")
