"""mirdl: deep learning for music tagging, lesson by lesson."""

__version__ = "0.1.0"
