"""What can go wrong on the way from archive to scores: killed, full, damaged, dead, removed.

Every stage is killed with -9 and called again; nothing that was done is lost, and the end equals
an unbroken run. Elsewhere: a pack that is killed, cut off or has a flipped bit (test_pack), a
training run that is, and damaged or foreign states (test_training), rendering (test_rehearsal),
downloads that break off and malicious archives (test_datasets_download).
"""

import contextlib
import functools
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import original_layout
import pandas as pd
import pytest
import torch
from tones import tones

from mirdl import audio, cli, datasets, models, paths, training
from mirdl.compose import rehearsal, synth
from mirdl.datasets import download, magnatagatune
from mirdl.datasets.pack import AUDIO, JOURNAL, pack
from mirdl.errors import CheckpointError, DataError, MirdlError

PARTS = rehearsal.PARTS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return original_layout.copy(tmp_path_factory.mktemp("made"))


@pytest.fixture
def source(made, tmp_path):
    """A source of the test's own, to be damaged: tables, parts, checksums."""
    folder = tmp_path / "source"
    folder.mkdir()
    for path in made.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


def get(source, root):
    return datasets.get("magnatagatune", root, progress=False, source=source)


def unpacked(root):
    return {str(path.relative_to(root)): path for path in root.glob("[0-9a-f]/*.mp3")}


def contents(root):
    return {name: path.read_bytes() for name, path in unpacked(root).items()}


@contextlib.contextmanager
def disk_of(n_bytes):
    """Let no file grow beyond a size, as if the disk were full; no root rights are needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- kill -9 -----------------------------------------------------------------------------------

TRAIN = ["--recipe", "dieleman2014", "--epochs", "4", "--set", "width=0.1"]
#: Slows each stage down, so that the kill comes in its middle.
SLOW = """
import shutil, sys, time
from mirdl import audio, cli, evaluation, training

def slowly(module, name, seconds):
    function = getattr(module, name)
    def slow(*arguments, **options):
        time.sleep(seconds)
        return function(*arguments, **options)
    setattr(module, name, slow)

stage = sys.argv.pop(1)
if stage == "get":
    slowly(shutil, "copyfileobj", 0.05)
if stage in ("check", "pack"):
    slowly(audio, "load", 0.2)
if stage == "train":
    slowly(training, "_validate", 0.3)
if stage == "evaluate folder":
    slowly(evaluation, "evaluate", 60)
sys.exit(cli.main(sys.argv[1:]))
"""


def pipeline(source, folder):
    where = [
        "--source",
        str(source),
        "--root",
        str(folder / "mtt"),
        "--folder",
        str(folder / "run"),
    ]
    return ["pipeline", "magnatagatune", *where, *TRAIN, "--quiet", "--device", "cpu"]


def killed_in(stage, arguments, folder, begun):
    """Run the pipeline until a stage has begun and shows what was waited for; kill it."""
    environment = os.environ | {"MIRDL_CACHE": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    log = folder / f"{stage}.log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, stage, *arguments], stdout=output, env=environment
        )
        while process.poll() is None and not (f"== {stage}:" in log.read_text() and begun()):
            time.sleep(0.01)
        process.kill()
    assert process.wait() == -9, log.read_text()


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_kill_9_in_every_stage_and_the_end_is_that_of_an_unbroken_run(
    source, tmp_path, monkeypatch
):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.mkdir()
    arguments = pipeline(source, broken)
    journal = broken / "cache" / "packs" / "magnatagatune-16000" / JOURNAL
    state = broken / "run" / "seed0" / "stage1" / "state.pt"

    killed_in("get", arguments, broken, lambda: len(unpacked(broken / "mtt")) >= 3)
    first = {path: path.stat().st_mtime_ns for path in unpacked(broken / "mtt").values()}
    assert 3 <= len(first) < 27
    killed_in("check", arguments, broken, lambda: True)
    assert not (broken / "run" / "check.csv").exists()
    killed_in("pack", arguments, broken, lambda: lines(journal) >= 4)
    packed = journal.read_bytes()
    killed_in("train", arguments, broken, state.exists)
    epochs = torch.load(state, weights_only=True)["history"]
    killed_in("evaluate folder", arguments, broken, lambda: True)
    assert not (broken / "run" / "scores-folder.txt").exists()

    for folder in (broken, whole):
        monkeypatch.setenv("MIRDL_CACHE", str(folder / "cache"))
        assert cli.main(pipeline(source, folder)) == 0
    assert first == {path: path.stat().st_mtime_ns for path in first}
    assert journal.read_bytes().startswith(packed[: packed.rindex(b"\n")])
    histories = [pd.read_csv(f / "run" / "seed0" / "history.csv") for f in (broken, whole)]
    assert 0 < len(epochs) < len(histories[0]) == 4
    assert histories[0]["seconds"][0] == pytest.approx(epochs[0]["seconds"])  # not trained again
    assert histories[0].drop(columns="seconds").equals(histories[1].drop(columns="seconds"))
    for name in ("cache/packs/magnatagatune-16000/audio.i16", "run/seed0/model.safetensors",
                 "run/scores-folder.txt", "run/scores-clean.txt"):  # fmt: skip
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    assert contents(broken / "mtt") == contents(whole / "mtt")


class Mirror(SimpleHTTPRequestHandler):
    """Serves a folder, with ranges; from .002 on in small bites, where the server is slow."""

    def do_GET(self):
        path, asked = Path(self.translate_path(self.path)), self.headers.get("Range")
        self.server.asked.append((path.name, asked))
        if not path.is_file():
            return self.send_error(404)
        content, first = path.read_bytes(), int(asked[6:-1]) if asked else 0
        if first and first >= len(content):
            return self.send_error(416)
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if not (self.server.slow and path.suffix == ".002"):
            self.wfile.write(content[first:])
            return None
        with contextlib.suppress(OSError):  # the other side is killed
            for start in range(first, len(content), 4000):
                self.wfile.write(content[start : start + 4000])
                time.sleep(0.1)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(source):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Mirror, directory=source))
    server.asked, server.slow = [], False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_kill_9_while_downloading(source, mirror, tmp_path, monkeypatch):
    server, url = mirror
    server.slow, root = True, tmp_path / "mtt"
    script = "from mirdl.datasets import download; download.BLOCK = 4000; import sys;"
    script += "from mirdl import cli; cli.main(sys.argv[1:])"
    command = ["data", "get", "magnatagatune", "--source", url, "--root", str(root), "--quiet"]
    process = subprocess.Popen([sys.executable, "-c", script, *command])
    part = root / "mp3.zip.002.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size >= 8000):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    have, server.slow = part.stat().st_size, False
    server.asked.clear()
    assert 8000 <= have < (source / "mp3.zip.002").stat().st_size
    assert cli.main(command) == 0
    asked = dict(server.asked)
    assert asked["mp3.zip.002"] == f"bytes={have}-"
    assert "mp3.zip.001" not in asked
    assert len(unpacked(root)) == 27
    get(source, tmp_path / "other")
    assert contents(root) == contents(tmp_path / "other")


# --- a full disk -------------------------------------------------------------------------------


def test_too_little_space_is_noticed_before_the_start(source, mirror, tmp_path, monkeypatch):
    server, url = mirror
    size = sum((source / part).stat().st_size for part in PARTS)
    usage = SimpleNamespace(free=1.5 * size)  # for the parts, not for what is in them
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="not enough disk"):
        get(url, tmp_path / "mtt")
    assert not [name for name, _ in server.asked if name in PARTS]
    usage.free = 0.5 * size
    with pytest.raises(DataError, match="not enough disk"):
        get(source, tmp_path / "mtt")
    usage.free = 3 * size
    get(url, tmp_path / "mtt")
    assert len(unpacked(tmp_path / "mtt")) == 27


FULL = r"cannot be written: .*kept: make room and run the same again"


def test_disk_full_while_downloading(source, mirror, tmp_path, monkeypatch):
    server, url = mirror
    monkeypatch.setattr(download, "BLOCK", 4096)
    with disk_of(40_000), pytest.raises(DataError, match=rf"mp3\.zip\.001\.part: {FULL}"):
        get(url, tmp_path / "mtt")
    have = (tmp_path / "mtt" / "mp3.zip.001.part").stat().st_size
    assert 0 < have <= 40_000
    server.asked.clear()
    get(url, tmp_path / "mtt")
    assert ("mp3.zip.001", f"bytes={have}-") in server.asked
    assert len(unpacked(tmp_path / "mtt")) == 27


def test_disk_full_while_unpacking(tmp_path):
    archive, folder = tmp_path / "a.zip", tmp_path / "here"
    with zipfile.ZipFile(archive, "w") as file:
        for name, size in (("1", 1000), ("2", 90_000), ("3", 1000)):
            file.writestr(name, name * size)
    with disk_of(50_000), pytest.raises(DataError, match=rf"2\.part: {FULL}"):
        download.unzip(archive, folder, progress=False)
    made = (folder / "1").stat().st_mtime_ns
    download.unzip(archive, folder, progress=False)
    assert (folder / "1").stat().st_mtime_ns == made
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "3"]


def test_disk_full_while_packing(tmp_path, monkeypatch):
    dataset = tones(tmp_path / "tones", n_clips=6)  # 48,000 bytes each
    with disk_of(120_000), pytest.raises(DataError, match=rf"audio\.i16: {FULL}"):
        pack(dataset, tmp_path / "pack", workers=1, progress=False)
    decoded, load = [], audio.load
    monkeypatch.setattr(audio, "load", lambda path, *a: decoded.append(path) or load(path, *a))
    pack(dataset, tmp_path / "pack", progress=False).verify()
    assert len(decoded) == 4  # two were done
    pack(dataset, tmp_path / "unbroken", progress=False)
    for name in (AUDIO, JOURNAL):
        assert (tmp_path / "pack" / name).read_bytes() == (
            tmp_path / "unbroken" / name
        ).read_bytes()


def fit(dataset, folder=None, **options):
    torch.manual_seed(0)
    model = models.build("dieleman_spectrogram", 3, width=0.1, for_seconds=1)
    options = {"n_epochs": 3, "batch_size": 8, "progress": False, "device": "cpu"} | options
    train, valid = dataset.subset("train"), dataset.subset("valid")
    return model, training.fit(model, train, valid, folder=folder, **options)


def equal(a, b):
    histories = [history.drop(columns="seconds") for _, history in (a, b)]
    weights = zip(a[0].parameters(), b[0].parameters(), strict=True)
    return histories[0].equals(histories[1]) and all(torch.equal(x, y) for x, y in weights)


def test_disk_full_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    dataset, run = tones(tmp_path / "tones"), tmp_path / "run"
    pack(dataset, progress=False)
    written, write = [], paths.write_atomically

    def second_does_not_fit(path, content):
        written.append(path)
        with disk_of(1000) if len(written) == 2 else contextlib.nullcontext():
            write(path, content)

    for module in [m for m in sys.modules.values() if getattr(m, "write_atomically", 0) is write]:
        monkeypatch.setattr(module, "write_atomically", second_does_not_fit)
    with pytest.raises(DataError, match=rf"state\.pt: {FULL}"):
        fit(dataset, run)
    assert len(torch.load(run / "state.pt", weights_only=True)["history"]) == 1  # as it was
    assert [path.name for path in run.iterdir()] == ["state.pt"]
    assert equal(fit(dataset, run), fit(dataset))


def test_disk_full_while_rehearsing(made, tmp_path):
    with disk_of(5000), pytest.raises(DataError, match=rf"\.mp3: {FULL}"):
        rehearsal.rehearse(tmp_path, 24, source=made / "music", workers=1, progress=False)
    with disk_of(100_000), pytest.raises(DataError, match=rf"mp3\.zip: {FULL}"):
        rehearsal.rehearse(tmp_path, 24, source=made / "music", workers=1, progress=False)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("clips/*/*")}
    rehearsal.rehearse(tmp_path, 24, source=made / "music", workers=1, progress=False)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("clips/*/*")}
    name = rehearsal.CHECKSUMS
    assert (tmp_path / name).read_text() == (made / name).read_text()


# --- damage ------------------------------------------------------------------------------------


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("listed", [True, False], ids=["with checksums", "without"])
@pytest.mark.parametrize("damage", ["bit", "cut"])
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_is_named_and_the_others_kept(source, tmp_path, part, damage, listed):
    good, root = (source / part).read_bytes(), tmp_path / "mtt"
    if not listed:
        (source / "checksums.txt").unlink()
    if damage == "bit":
        flip(source / part, 20_000)
    else:
        (source / part).write_bytes(good[:-5000])
    with pytest.raises(DataError) as caught:
        get(source, root)
    assert f"{source / part}" in str(caught.value)
    assert re.search(r"damaged.*once more and run the same again", str(caught.value))
    kept = {path: path.stat().st_mtime_ns for path in unpacked(root).values()}
    (source / part).write_bytes(good)
    get(source, root)
    assert len(unpacked(root)) == 27
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    if damage == "bit" and not listed and part != PARTS[0]:
        assert kept  # what was unpacked before the damage was met


def test_a_damaged_download_is_fetched_again(source, mirror, tmp_path):
    server, url = mirror
    root = tmp_path / "mtt"
    root.mkdir()
    for part in PARTS:
        shutil.copy(source / part, root)
    flip(root / PARTS[1], 20_000)
    get(url, root)
    assert [name for name, _ in server.asked if name in PARTS] == [PARTS[1]]
    assert len(unpacked(root)) == 27
    flip(source / PARTS[2], 20_000)  # damaged at its source
    (root / PARTS[2]).unlink()
    (root / "unpacked.txt").unlink()
    with pytest.raises(DataError, match=r"mp3\.zip\.003: cannot be downloaded: .*hash"):
        get(url, root)
    assert (root / PARTS[0]).exists()


def test_a_table_of_contents_that_is_damaged(source, tmp_path):
    (source / "checksums.txt").unlink()
    content = (source / PARTS[2]).read_bytes()
    for at in range(len(content) - 3000, len(content), 61):
        (source / PARTS[2]).write_bytes(content)
        flip(source / PARTS[2], at)
        with contextlib.suppress(DataError):  # or what it says about dates is wrong: no matter
            get(source, tmp_path / str(at))


def test_a_damaged_checkpoint_stops_the_run_and_says_what_to_do(tmp_path):
    dataset, run = tones(tmp_path / "tones"), tmp_path / "run"
    whole = fit(dataset, run)
    flip(run / "state.pt", (run / "state.pt").stat().st_size // 2)
    with pytest.raises(CheckpointError, match=r"state\.pt: damaged, delete it to start again"):
        fit(dataset, run)
    (run / "state.pt").unlink()
    assert equal(fit(dataset, run), whole)


def test_a_damaged_pack_is_made_again_once_it_is_deleted(tmp_path):
    dataset = tones(tmp_path / "tones", n_clips=6)
    packed = pack(dataset, tmp_path / "pack", progress=False)
    content = (packed.folder / AUDIO).read_bytes()
    flip(packed.folder / AUDIO, 100_000)
    with pytest.raises(DataError, match=r"damaged where .*2\.wav is; delete .* and pack again"):
        packed.verify()
    shutil.rmtree(packed.folder)
    pack(dataset, tmp_path / "pack", progress=False).verify()
    assert (packed.folder / AUDIO).read_bytes() == content


# --- workers that die, clips that go -------------------------------------------------------------


def test_a_decoder_that_dies_loses_nothing(tmp_path, monkeypatch):
    dataset, load, decoded = tones(tmp_path / "tones", n_clips=8), audio.load, []

    def dies_at_the_fifth(path, *arguments):
        if path == dataset.clips["path"][4] and len(decoded) < 8:
            raise MemoryError("no memory left")
        decoded.append(path)
        return load(path, *arguments)

    monkeypatch.setattr(audio, "load", dies_at_the_fifth)
    with pytest.raises(MemoryError):
        pack(dataset, tmp_path / "pack", workers=1, progress=False)
    kept = (tmp_path / "pack" / JOURNAL).read_bytes()
    assert kept.count(b"\n") == 1 + 4
    decoded.extend([""] * 8)
    packed = pack(dataset, tmp_path / "pack", workers=1, progress=False)
    assert packed.usable.all()
    assert decoded[-4:] == dataset.clips["path"][4:].tolist()
    assert (tmp_path / "pack" / JOURNAL).read_bytes().startswith(kept)


def test_a_process_that_dies_while_rendering(tmp_path, monkeypatch):
    try:
        synth.library(), synth.sound_font()
    except MirdlError as error:
        pytest.skip(str(error))

    def kill_the_first():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        children[0].kill()

    monkeypatch.setattr(rehearsal, "LEAST", 3)
    threading.Thread(target=kill_the_first).start()
    with pytest.raises(MirdlError, match=r"a process that renders died.*run the same again"):
        rehearsal.rehearse(tmp_path, 3, workers=1, progress=False)


def test_clips_removed_before_and_while_packing(tmp_path, monkeypatch):
    dataset, load = tones(tmp_path / "tones"), audio.load
    files = [Path(path) for path in dataset.clips["path"]]
    files[3].unlink()

    def load_and_remove(path, *arguments):
        files[9].unlink(missing_ok=True)
        return load(path, *arguments)

    monkeypatch.setattr(audio, "load", load_and_remove)
    packed = pack(dataset, workers=1, progress=False)
    assert sorted(packed.skipped) == sorted([str(files[3]), str(files[9])])
    assert all("missing" in reason for reason in packed.skipped.values())
    assert packed.usable.sum() == 22
    _, history = fit(dataset, n_epochs=1)
    assert np.isfinite(history["train_loss"]).all()


def test_clips_removed_while_training(tmp_path, monkeypatch):
    """What is packed stays, also for a run that goes on: it equals an unbroken one."""
    dataset, run, validate = tones(tmp_path / "tones"), tmp_path / "run", training._validate
    whole = fit(dataset)
    epochs = []

    def removed_in_the_second_epoch(*arguments):
        epochs.append(1)
        if len(epochs) == 2:
            for path in dataset.clips["path"]:
                Path(path).unlink()
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setattr(training, "_validate", removed_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        fit(dataset, run)
    assert equal(fit(dataset, run), whole)


def test_every_clip_gone_is_one_line(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(magnatagatune, "SECONDS", original_layout.SECONDS)
    root = get(source, tmp_path / "mtt")
    for path in unpacked(root).values():
        path.unlink()
    where = ["--root", str(root), "--quiet"]
    assert cli.main(["data", "check", "magnatagatune", *where]) == 1
    assert "24 files, 24 of them cannot be used: 24 missing" in capsys.readouterr().out
    command = ["train", "--dataset", "magnatagatune", "--model", "dieleman_spectrogram", *where]
    assert cli.main([*command, "--folder", str(tmp_path / "run"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error == "mirdl: magnatagatune: 0 usable training clips\n"
