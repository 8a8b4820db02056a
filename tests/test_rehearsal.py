"""Our own music in the layout of MagnaTagATune: the same files, tables and faults."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import original_layout
import pandas as pd
import pytest
import soundfile

from mirdl import cli
from mirdl.compose import rehearsal, synth
from mirdl.datasets import download, magnatagatune
from mirdl.errors import DataError, MirdlError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return original_layout.copy(tmp_path_factory.mktemp("source"))


def test_tags_are_those_of_the_original():
    assert len(set(rehearsal.TAGS)) == len(rehearsal.TAGS) == 188
    assert set(magnatagatune.TOP_50) <= set(rehearsal.TAGS)
    assert rehearsal.EMPTY == magnatagatune.EMPTY
    assert list(rehearsal.PARTS) == list(magnatagatune.PARTS)


def test_layout_is_the_original_one(source):
    table = pd.read_csv(source / "annotations_final.csv", sep="\t")
    assert list(table) == ["clip_id", *rehearsal.TAGS, "mp3_path"]
    assert len(table) == original_layout.N_CLIPS + 3
    assert table["mp3_path"].str.fullmatch(r"[0-9a-f]/a\d+-\w+-0[123]-\w+-\d+-\d+\.mp3").all()
    assert (source / "annotations_final.csv").read_text().startswith('"clip_id"\t"no voice"\t')
    info = pd.read_csv(source / "clip_info_final.csv", sep="\t")
    assert info["mp3_path"].equals(table["mp3_path"])
    by_album = info.groupby("album")["mp3_path"].agg(lambda paths: set(paths.str[0]))
    assert (by_album.map(len) == 1).all()  # an album lies in one folder ...
    assert info.groupby("artist")["mp3_path"].agg(lambda p: p.str[0].nunique()).max() == 2


def test_archive_in_three_parts_holds_the_clips_and_three_empty_files(source):
    parts = [source / name for name in rehearsal.PARTS]
    lines = (source / "checksums.txt").read_text().splitlines()
    assert len(lines) == 5  # and the tables
    for part, line in zip(parts, lines[:3], strict=True):
        assert line.split() == [hashlib.sha256(part.read_bytes()).hexdigest(), part.name]
    with zipfile.ZipFile(download.opened_parts(parts)) as archive:
        assert archive.testzip() is None
        sizes = {member.filename: member.file_size for member in archive.infolist()}
    table = pd.read_csv(source / "annotations_final.csv", sep="\t").set_index("clip_id")
    assert list(sizes) == table["mp3_path"].tolist()
    empty = [name for name, size in sizes.items() if size == 0]
    assert empty == table["mp3_path"][list(magnatagatune.EMPTY)].tolist()
    assert not (source / "mp3.zip").exists()


def test_a_clip_is_as_long_and_as_large_as_an_original(rng):
    music = (3000 * rng.standard_normal(30 * 16_000)).astype(np.int16)
    content = rehearsal.encode(music[: rehearsal.N_SAMPLES])
    decoded, rate = soundfile.read(io.BytesIO(content))
    assert (len(decoded), rate) == (465_984, 16_000)
    assert len(content) * 8 / 29.124 == pytest.approx(32_000, rel=0.01)
    assert b"Info" not in content[:2000]  # the length is said nowhere, as there


def test_words(source):
    row = {"tags": "vocal|drums|quiet|brass|sad", "style": "newage", "programs": "lead=0:52"}
    assert set(rehearsal.words(row)) == {
        *("vocal", "vocals", "voice", "choir", "drums", "beat", "beats", "quiet", "soft"),
        *("horns", "sad", "new age"),
    }
    row = {"tags": "", "style": "electronic", "programs": "lead=0:1"}
    assert set(rehearsal.words(row)) == {
        "techno", "no vocal", "no vocals", "no voice", "instrumental"
    }  # fmt: skip


def test_every_tag_of_ours_has_a_word():
    from mirdl.compose.styles import STYLES
    from mirdl.compose.tags import GENRES, INSTRUMENTS, MOODS

    for tag in (*INSTRUMENTS, *GENRES, *MOODS):
        assert set(rehearsal.WORDS.get(tag, (tag,))) <= set(rehearsal.TAGS)
    assert set(rehearsal.STYLE_WORDS) <= set(STYLES)


def test_the_same_bytes_again_and_nothing_is_made_twice(source, tmp_path, monkeypatch):
    digests = (source / "checksums.txt").read_text()
    music = source / "music"
    again = rehearsal.rehearse(tmp_path, 12, source=music, workers=2, progress=False)
    times = {path: path.stat().st_mtime_ns for path in again.rglob("*.mp3*")}
    rehearsal.rehearse(tmp_path, 12, source=music, progress=False)  # nothing left to do
    assert times == {path: path.stat().st_mtime_ns for path in again.rglob("*.mp3*")}
    rehearsal.rehearse(tmp_path, original_layout.N_CLIPS, source=music, progress=False)
    assert (again / "checksums.txt").read_text() == digests
    clips = [path for path in times if path.suffix == ".mp3"]
    assert all(times[path] == path.stat().st_mtime_ns for path in clips)


def test_what_cannot_be_done_is_one_line(source, tmp_path, monkeypatch, capsys):
    with pytest.raises(DataError, match="has 24 tracks, not 25"):
        rehearsal.rehearse(tmp_path, 25, source=source / "music")
    with pytest.raises(MirdlError, match="at least 12 clips"):
        rehearsal.rehearse(tmp_path, 3, source=source / "music")
    with pytest.raises(DataError, match="holds a set rendered with"):
        rehearsal.rehearse(source, 12, seed=1, source=source / "music")
    monkeypatch.setenv("MIRDL_SOUNDFONT", "")
    monkeypatch.setattr(synth, "_SOUND_FONTS", ())
    assert cli.main(["data", "rehearse", "--clips", "12", "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "install" in error  # the sound font, or the library where that is missing too


RENDER = """
from mirdl.compose import rehearsal
rehearsal.LEAST = 3
rehearsal.rehearse({folder!r}, 3, workers=1, progress=False)
"""


def test_kill_9_while_rendering_and_go_on(tmp_path, monkeypatch):
    try:
        synth.library(), synth.sound_font()
    except MirdlError as error:
        pytest.skip(str(error))
    script = RENDER.format(folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    while not list(tmp_path.glob("records/*.json")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = next(tmp_path.glob("clips/*/*-01-*.mp3"))
    made = first.stat().st_mtime_ns
    assert not (tmp_path / "checksums.txt").exists()
    monkeypatch.setattr(rehearsal, "LEAST", 3)
    rehearsal.rehearse(tmp_path, 3, workers=1, progress=False)
    assert first.stat().st_mtime_ns == made  # not rendered again
    assert len(list(tmp_path.glob("clips/*/*.mp3"))) == 3
    parts = [tmp_path / name for name in rehearsal.PARTS]
    with zipfile.ZipFile(download.opened_parts(parts)) as archive:
        assert len(archive.namelist()) == 6
