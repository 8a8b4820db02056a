"""The embedded data set: how it is composed, and what the committed copy promises."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from mirdl import compose
from mirdl.compose import collection, effects, parts, pieces, synth, tags, theory
from mirdl.compose.artists import BLOCK, FAMILIES, cast, placing
from mirdl.compose.styles import DANCES, STYLES
from mirdl.errors import DataError, MirdlError
from mirdl.paths import data_folder

MINITAG = data_folder() / "minitag"


def player_or_skip():
    try:
        synth.library(), synth.sound_font()
    except MirdlError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tracks():
    return pd.read_csv(MINITAG / "tracks.csv", dtype={"track_id": str}, keep_default_na=False)


@pytest.fixture(scope="module")
def clips(tracks):
    table = pd.read_csv(MINITAG / "clips.csv", dtype={"track_id": str}, keep_default_na=False)
    return table.merge(tracks[["track_id", "artist", "split"]], on="track_id")


@pytest.fixture(scope="module")
def annotations():
    with gzip.open(MINITAG / "annotations.jsonl.gz", "rt") as file:
        return {note["track_id"]: note for note in map(json.loads, file)}


# --- the grammar -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "label"),
    [("I", "A:maj"), ("V7", "E:7"), ("ii7", "B:min7"), ("bVI^", "F:maj7"), ("ii%", "B:hdim7")],
)
def test_roman_numerals_in_a(symbol, label):
    assert theory.roman(symbol, 9).label == label


@settings(deadline=None)
@given(
    st.integers(0, 11),
    st.sampled_from(sorted(theory.MODES)),
    st.sampled_from(sorted(theory.PROGRESSIONS)),
    st.integers(0, 99),
)
def test_melodies_find_every_chord_tone_in_the_scale(tonic, mode, language, seed):
    chords = theory.progression(np.random.default_rng(seed), language, mode, tonic)
    for chord in chords:
        assert set(chord.tones) <= set(theory.scale_under(chord, mode, tonic))


@settings(deadline=None)
@given(st.integers(0, 11), st.sampled_from(sorted(theory.QUALITIES)), st.integers(50, 66))
def test_voicings_hold_chord_tones_near_their_register(root, quality, centre):
    chord = theory.Chord(root, quality)
    first = theory.voicing(chord, None, centre)
    again = theory.voicing(chord, first, centre)
    assert {pitch % 12 for pitch in first} <= set(chord.tones)
    assert abs(np.mean(first) - centre) <= 7
    assert sum(abs(a - b) for a, b in zip(first, again, strict=True)) <= 12


@given(st.floats(0, 64), st.floats(0, 64), st.sampled_from([0.5, 0.58, 0.66]))
def test_swing_keeps_order_and_beats(one, other, swing):
    assert parts.swung(np.floor(one), swing) == np.floor(one)
    if one < other:
        assert parts.swung(one, swing) <= parts.swung(other, swing)


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.name)
def test_grooves_fill_whole_bars(style):
    patterns = [*style.bass, *style.comp, *style.melody]
    patterns += [pattern for groove in style.drums for pattern in groove.values()]
    assert all(len(pattern) % (4 * style.meter) == 0 for pattern in patterns)


# --- artists and pieces ----------------------------------------------------------------------


def test_artists_are_spread_over_the_splits():
    places = [placing(k) for k in range(2 * sum(BLOCK.values()))]
    for split, size in BLOCK.items():
        assert sorted(rank for where, rank in places if where == split) == list(range(2 * size))
    assert {split for split, _ in places[:8]} == set(BLOCK)


@settings(deadline=None)
@given(st.integers(0, 2000), st.integers(0, 5))
def test_only_test_artists_play_held_programs(index, seed):
    artist = cast(index, seed)
    held = [name for name, preset in artist.programs.items() if preset in FAMILIES[name].held]
    assert held == [] or (artist.split == "test" and len(held) == len(FAMILIES))
    assert len(set(artist.leads)) == 2


def test_every_instrument_tag_has_three_sounds():
    for tag in tags.INSTRUMENTS:
        presets = {
            p
            for family in FAMILIES.values()
            if family.tag == tag
            for p in family.seen + family.held
        }
        assert len(presets) >= 3, tag


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3000), st.sampled_from([29.0, 30.0]))
def test_any_piece_is_music(index, seconds):
    piece = compose.compose(index, 11, seconds)
    assert piece.players["lead"].notes
    for player in piece.players.values():
        for start, end, pitch, velocity in player.notes:
            assert -pieces.PRE_ROLL <= start <= seconds  # times are rounded to 1 ms
            assert start < end
            assert 0 <= pitch < 128
            assert 0 < velocity < 128
    assert piece.chords[0][0] == 0
    assert piece.chords[-1][1] == seconds
    assert all(a[1] == b[0] for a, b in zip(piece.chords, piece.chords[1:], strict=False))
    assert set(piece.downbeats) <= set(piece.beats)
    assert np.all(np.diff(piece.beats) > 0)
    low, high = piece.style.tempo[2:]
    assert 0.95 * low <= piece.tempo <= 1.05 * high
    assert -1 <= piece.arousal <= 1
    assert -1 <= piece.valence <= 1


def test_a_piece_is_a_function_of_its_number():
    assert compose.compose(7, 3) == compose.compose(7, 3)
    assert compose.compose(7, 3) != compose.compose(7, 4)


# --- sound -----------------------------------------------------------------------------------


def test_notes_sound_when_the_score_says():
    player_or_skip()
    audio = synth.play([(1.0, 1.2, 42, 90)], (128, 0), seconds=2.0, pre_roll=1.0)
    assert audio.shape == (32000,)
    first = np.flatnonzero(np.abs(audio) > 0.05 * np.abs(audio).max())[0]
    assert first / 16000 == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("index", [3, 16])
def test_stems_add_up_to_the_track_before_damage(index):
    player_or_skip()
    piece, samples, stems = compose.record_track(index, collection.SEED, 5.0)
    again = compose.record_track(index, collection.SEED, 5.0)[1]
    assert np.array_equal(samples, again)
    assert samples.shape == (80000,)
    total = sum(stems.values())
    if not piece.artist.drive:
        assert np.corrcoef(total, samples)[0, 1] > 0.9
    assert np.abs(samples).max() < 32767


@pytest.mark.parametrize("kind", ["white", "pink", "hum", "crackle"])
def test_noise_has_unit_power(kind, rng):
    audio = effects.noise(kind, 16000, rng)
    assert np.mean(audio**2) == pytest.approx(1.0)


def test_missing_sound_font_says_what_to_install(monkeypatch):
    monkeypatch.setattr(synth, "_SOUND_FONTS", ())
    monkeypatch.delenv("MIRDL_SOUNDFONT", raising=False)
    with pytest.raises(MirdlError, match="apt-get install fluid-soundfont-gm"):
        synth.sound_font()


def test_missing_synthesiser_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(MirdlError, match=r"mirdl\[render\]"):
        synth.library()


# --- a folder --------------------------------------------------------------------------------


def render(folder, n_tracks=4, workers=1, **options):
    compose.render(folder, n_tracks, seconds=10.0, workers=workers, progress=False, **options)
    return (folder / "tracks.csv").read_text()


def test_workers_do_not_matter_and_sets_grow(tmp_path):
    player_or_skip()
    one, two = render(tmp_path / "one"), render(tmp_path / "two", workers=2)
    assert one == two
    assert compose.verify(tmp_path / "two") == 4
    assert render(tmp_path / "one", n_tracks=5).startswith(one)
    with pytest.raises(DataError, match="rendered with"):
        render(tmp_path / "one", seed=1)


def test_interrupted_rendering_goes_on(tmp_path):
    player_or_skip()
    folder = str(tmp_path / "set")
    code = f"from mirdl.compose import render; render({folder!r}, 5, seconds=10.0, workers=1)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True
    )
    records = tmp_path / "set" / "records"
    patience = time.monotonic() + 60
    while len(list(records.glob("[0-9]*.json"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in records.glob("[0-9]*.json")}
    assert len(done) >= 2
    table = render(tmp_path / "set", 5)
    assert all(path.stat().st_mtime_ns == then for path, then in done.items())
    assert table == render(tmp_path / "unbroken", 5, workers=2)


def test_verify_names_the_damaged_file(tmp_path):
    player_or_skip()
    folder = tmp_path / "set"
    render(folder, 3)
    sound = folder / "audio" / "0002.ogg"
    whole = sound.read_bytes()
    sound.write_bytes((folder / "audio" / "0001.ogg").read_bytes())
    with pytest.raises(DataError, match=r"0002\.ogg: sounds different"):
        compose.verify(folder)
    sound.write_bytes(whole[:40])
    with pytest.raises(DataError, match=r"0002\.ogg: cannot be decoded"):
        compose.verify(folder)
    sound.unlink()
    with pytest.raises(DataError, match=r"0002\.ogg: missing"):
        compose.verify(folder)


def test_verify_wants_a_set(tmp_path):
    with pytest.raises(DataError, match="not a rendered set"):
        compose.verify(tmp_path)


# --- the committed set -----------------------------------------------------------------------


def test_frozen():
    """Every file is the one that was frozen; the list itself is quoted in the datasheet."""
    frozen = MINITAG / "FROZEN.sha256"
    entries = dict(reversed(line.split("  ", 1)) for line in frozen.read_text().splitlines())
    present = {
        path.relative_to(MINITAG).as_posix() for path in MINITAG.rglob("*") if path.is_file()
    }
    assert present - {"FROZEN.sha256", "DATASHEET.md", "LICENSE"} == set(entries)
    for name, digest in entries.items():
        assert hashlib.sha256((MINITAG / name).read_bytes()).hexdigest() == digest, name
    assert hashlib.sha256(frozen.read_bytes()).hexdigest() in (MINITAG / "DATASHEET.md").read_text()


def test_committed_audio_is_what_the_table_says():
    assert compose.verify(MINITAG) == 318


@pytest.mark.parametrize("number", range(1, 319, 40))
def test_committed_audio_is_loud_enough_and_never_clips(number):
    audio, rate = soundfile.read(MINITAG / "audio" / f"{number:04d}.ogg")
    assert rate == 16000
    assert audio.shape == (480000,)
    assert np.abs(audio).max() <= 1
    assert np.sqrt(np.mean(audio.reshape(3, -1) ** 2, axis=1)).min() > 0.01


def test_size_and_artists(tracks, clips):
    """Design: 300 tracks, 100 artists, 25 test artists, 250 test clips, 40 MB."""
    assert len(tracks) >= 300
    assert tracks.artist.nunique() >= 100
    assert (tracks.groupby("artist").split.nunique() == 1).all()
    assert tracks[tracks.split == "test"].artist.nunique() >= 25
    assert (clips.split == "test").sum() >= 250
    assert (clips.groupby("track_id").size() == 3).all()
    assert sum(path.stat().st_size for path in MINITAG.rglob("*") if path.is_file()) <= 40e6


def test_every_tag_can_be_tested(clips):
    names = (MINITAG / "tags.txt").read_text().split()
    assert 22 <= len(names) <= 28
    assert len(set(names)) == len(names)
    for name in names:
        carries = clips[clips.tags.str.split("|").map(lambda found, name=name: name in found)]
        test = carries[carries.split == "test"]
        assert len(test) >= 15, name
        assert test.artist.nunique() >= 4, name
        assert carries[carries.split == "train"].artist.nunique() >= 4, name


def test_half_is_danced_within_tempo(tracks):
    danced = tracks[tracks.dance != ""]
    assert 0.4 <= len(danced) / len(tracks) <= 0.6
    assert set(danced.dance) == set(DANCES)
    for row in danced.itertuples():
        low, high = DANCES[row.dance].tempo[2:]
        assert 0.98 * low <= row.tempo <= 1.02 * high
        assert row.meter == (3 if row.dance in ("waltz", "viennese") else 4)


def test_labels_follow_from_the_score(tracks, clips, annotations):
    """An instrument's tag needs notes of that instrument in the clip; beats fit the tempo."""
    family_of = {f"{bank}:{program}": family.tag for family in FAMILIES.values()
                 for bank, program in family.seen + family.held}  # fmt: skip
    playing = {
        row.track_id: dict(part.split("=") for part in row.programs.split("|"))
        for row in tracks.itertuples()
    }
    for clip in clips.itertuples():
        notes = annotations[clip.track_id]["notes"]
        heard = {
            family_of[playing[clip.track_id][part]]
            for part, played in notes.items()
            if any(note[0] < clip.end and note[1] > clip.start for note in played)
        }
        assert set(clip.tags.split("|")) & set(tags.INSTRUMENTS) <= heard, clip.clip_id
    for row in tracks.itertuples():
        beats = annotations[row.track_id]["beats"]
        assert 60 / np.mean(np.diff(beats)) == pytest.approx(row.tempo, abs=0.1)
        together = set(row.tags.split("|"))
        assert not {"fast", "slow"} <= together
        assert not {"loud", "quiet"} <= together


def test_stems_of_test_tracks(tracks):
    stems = pd.read_csv(MINITAG / "stems.csv", dtype={"track_id": str})
    assert stems.track_id.nunique() == 24
    assert (stems.groupby("track_id").size() == 4).all()
    assert set(stems.track_id) <= set(tracks[tracks.split == "test"].track_id)
    for path in stems.path:
        assert soundfile.info(MINITAG / path).frames == 160000


@pytest.mark.parametrize("index", [0, 158, 317])
def test_a_committed_track_can_be_rendered_again(tracks, index, tmp_path):
    player_or_skip()
    samples = compose.record_track(index, compose.SEED)[1]
    digest = collection._write_ogg(tmp_path / "again.ogg", samples)
    assert digest == tracks.sha256[index]
    assert digest == compose.pcm_digest(MINITAG / tracks.path[index])
