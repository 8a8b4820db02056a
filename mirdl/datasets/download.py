"""Downloads that go on where they stopped, and archives that cannot write outside their folder."""

import hashlib
import io
import shutil
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pooch
import requests
from tqdm.auto import tqdm

from mirdl.errors import DataError
from mirdl.paths import room_for

BLOCK = 2**16  # what an interruption loses at most
_ADVICE = "Copy or download it once more and run the same again: whatever is good here is kept"


def fetch(urls, path, known_hash=None, n_bytes=0, exact=False, progress=True):
    """Download one file, from the first of its addresses that gives it.

    What has arrived is kept in ``<path>.part``; the next call asks the server for the rest.

    Parameters
    ----------
    urls : list of str
        The source and its mirrors.
    path : path-like
        Where the file goes. One that is there and right is left alone.
    known_hash : str, optional
        As "sha256:..." or "md5:...".
    n_bytes : int
        Its size, for the check of disk space; with ``exact`` the file must have just this size.
    progress : bool
        Show a bar.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DataError
        The disk is too full, or no address gives a file of the right size and hash.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    if exact and path.is_file() and path.stat().st_size < n_bytes:
        path.replace(part)  # begun by another program; fetch the rest
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        need_space(path.parent, n_bytes - arrived(path))
    receive = partial(_receive, part=part, n_bytes=n_bytes if exact else None, progress=progress)
    pooch.get_logger().setLevel("WARNING")
    failures = []
    for url in urls:
        try:
            pooch.retrieve(url, known_hash, path.name, path.parent, downloader=receive)
            return path
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{url} ({_reason(error)})")
    raise DataError(
        path,
        f"cannot be downloaded: {'; '.join(failures)}. "
        "Is the source gone? A copy from elsewhere can be put here by hand",
    )


def _receive(url, output_file, _, part, n_bytes, progress):
    """Fetch what is missing of ``part``, then move it where pooch will check it."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
        complete = answer.status_code == 416  # nothing lies beyond what is here
        if not complete:
            answer.raise_for_status()
            if answer.status_code != 206:
                have = 0  # this server begins again
            total = have + int(answer.headers.get("Content-Length", 0))
            bar = tqdm(
                total=total,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=not progress,
            )
            with room_for(part), open(part, "ab" if have else "wb") as file, bar:
                for block in answer.iter_content(BLOCK):
                    file.write(block)
                    bar.update(len(block))
    size = part.stat().st_size
    if n_bytes is not None and size != n_bytes:
        part.unlink()
        raise ValueError(f"{size:,} bytes came, the published size is {n_bytes:,}")
    shutil.move(part, output_file)


def _reason(error):
    """Return why an address gave nothing, without the nested text of network errors."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)


def arrived(path):
    """Return how many bytes of a download are here, finished or not."""
    files = (path, path.with_name(path.name + ".part"))
    return sum(file.stat().st_size for file in files if file.is_file())


def size(url):
    """Return the size that a server gives for a file, 0 where it gives none."""
    try:
        with requests.head(url, allow_redirects=True, timeout=60) as answer:
            return int(answer.headers.get("Content-Length", 0)) if answer.ok else 0
    except requests.RequestException:
        return 0


def checksums(where):
    """Return the SHA-256 that a folder or web folder lists for its files, as "sha256:...".

    They are read from ``checksums.txt`` or ``SHA256SUMS``, as ``sha256sum`` writes them.

    Parameters
    ----------
    where : pathlib.Path or str
        A folder, or the URL of one with the slash at its end.

    Returns
    -------
    dict of str to str
        By file name; empty where neither list is there.
    """
    for name in ("checksums.txt", "SHA256SUMS"):
        text = ""
        if isinstance(where, Path):
            text = (where / name).read_text() if (where / name).is_file() else ""
        else:
            try:
                with requests.get(where + name, timeout=60) as answer:
                    text = answer.text if answer.ok else ""
            except requests.RequestException:
                return {}  # what is asked for next will say why
        pairs = [line.split(maxsplit=1) for line in text.splitlines() if " " in line]
        if pairs:
            return {file.lstrip("*"): f"sha256:{digest}" for digest, file in pairs}
    return {}


def check_hash(path, known_hash):
    """Raise a DataError unless a file has the SHA-256 it should, where one is known."""
    if known_hash is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{found}" != known_hash:
        raise DataError(path, f"damaged: its SHA-256 is not the one listed beside it. {_ADVICE}")


def need_space(folder, n_bytes):
    """Raise a DataError unless the disk of ``folder`` has room for ``n_bytes`` and 5 % more."""
    free = shutil.disk_usage(folder).free
    if n_bytes * 1.05 > free:
        raise DataError(
            folder, f"not enough disk: {n_bytes / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free"
        )


def unzip(archive, folder, progress=True):
    """Unpack a zip file; what is there with the right size is skipped, so that it can be resumed.

    Parameters
    ----------
    archive : path-like or file object
    folder : path-like
    progress : bool

    Raises
    ------
    DataError
        A member would land outside ``folder`` or is a link, the archive is damaged, or the disk
        is too full.
    """
    folder, at = Path(folder), None
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as file:
            missing = []
            for member in file.infolist():
                target = _inside(folder, member.filename)
                if member.external_attr >> 28 == 0o12:
                    raise DataError(folder, f"{member.filename} in the archive is a link")
                if member.header_offset < 0:
                    raise zipfile.BadZipFile("bytes are missing in it")
                there = target.is_file() and target.stat().st_size == member.file_size
                if not (member.is_dir() or there):
                    missing.append((member, target))
            need_space(folder, sum(member.file_size for member, _ in missing))
            for at, target in tqdm(missing, "unpacking", unit="file", disable=not progress):
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(target.name + ".part")
                with room_for(part), file.open(at) as source, open(part, "wb") as sink:
                    shutil.copyfileobj(source, sink, BLOCK)  # raises where the CRC is wrong
                part.replace(target)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        where = f" at {at.filename}" if at else ""
        raise DataError(
            _at_fault(archive, at), f"damaged archive{where}: {error}. {_ADVICE}"
        ) from error


def _at_fault(archive, member):
    """Return the file that is to blame for a damaged archive: of parts, the one that is."""
    parts = getattr(archive, "raw", None)
    if not isinstance(parts, Parts):
        return getattr(archive, "name", archive)
    sizes = np.diff(parts.ends, prepend=0)[:-1]  # all but the last have one size
    if len(set(sizes)) > 1:
        return parts.paths[int(sizes.argmin())]
    if member is None:
        return parts.paths[-1]  # where the table of contents is
    end = member.header_offset + member.compress_size
    if end > parts.ends[-1]:
        return parts.paths[-1]  # the table of contents is wrong
    touched = np.searchsorted(parts.ends, [member.header_offset, end - 1], side="right")
    return " or ".join(dict.fromkeys(str(parts.paths[k]) for k in touched))


def untar(archive, folder):
    """Unpack a tar file (also .gz, .bz2, .xz); errors as ``unzip``'s."""
    if not hasattr(tarfile, "data_filter"):
        raise DataError(archive, "to unpack a tar file safely takes Python 3.11.4 or newer")
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as file:
            need_space(folder, sum(member.size for member in file))
            file.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise DataError(archive, f"would write outside its folder: {error}") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(archive, f"damaged archive: {error}") from error


def unpack(archive, folder, inner_folders=(), progress=True):
    """Unpack an archive once, and move up what lies in its inner folders.

    Other files than zip and tar are left as they are; errors as ``unzip``'s.
    """
    done = archive.with_name(f".{archive.name}.unpacked")
    if done.is_file() or archive.suffix not in (".zip", ".gz", ".tar", ".bz2"):
        return
    if archive.suffix == ".zip":
        unzip(archive, folder, progress)
    else:
        untar(archive, folder)
    for inner in inner_folders or ():
        shutil.copytree(folder / inner, folder, copy_function=shutil.move, dirs_exist_ok=True)
        shutil.rmtree(folder / inner)
    done.touch()


def _inside(folder, name):
    """Return where a member of an archive goes, or raise where that is outside the folder."""
    target = (folder / name.replace("\\", "/")).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise DataError(folder, f"{name} in the archive would be written outside this folder")
    return target


def opened_parts(paths):
    """Open an archive cut in parts as one file."""
    return io.BufferedReader(Parts(paths), BLOCK)


class Parts(io.RawIOBase):
    """An archive cut in parts, read as if it were one file, without a second copy on the disk."""

    def __init__(self, paths):
        self.paths = list(paths)
        self.name = f"{self.paths[0]} and {len(self.paths) - 1} more parts"
        self.ends = np.cumsum([path.stat().st_size for path in self.paths])
        self.at = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: int(self.ends[-1])}[whence]
        self.at = base + offset
        return self.at

    def readinto(self, buffer):
        number = int(np.searchsorted(self.ends, self.at, side="right"))
        if number == len(self.paths):
            return 0
        with open(self.paths[number], "rb") as part:
            part.seek(self.at - (self.ends[number - 1] if number else 0))
            count = part.readinto(buffer)
        self.at += count
        return count
