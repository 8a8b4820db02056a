"""Errors that name the file and the reason, in one line a reader can act on."""


class MirdlError(Exception):
    """Something the reader can mend; the command line prints it as one line and exits with 2."""


class FileError(MirdlError):
    """A file that cannot be used.

    Parameters
    ----------
    path : str or path-like
        The file at fault.
    reason : str
        What is wrong with it, and where possible what to do.
    """

    def __init__(self, path, reason):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self):  # worker processes send these errors back by pickle
        return type(self), (self.path, self.reason)


class AudioError(FileError):
    """An audio file that is missing, empty, damaged, silent, too short or otherwise unusable."""


class DataError(FileError):
    """A table, split, pack or data folder that does not hold what it should."""


class CheckpointError(FileError):
    """Saved weights or training state that cannot be used."""
