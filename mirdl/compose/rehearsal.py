"""MagnaTagATune without MagnaTagATune: our own music in the layout of its three-part archive.

What the course does with the real set can then be rehearsed, at any size, where the real set is
not at hand: the archive ``mp3.zip.001`` to ``.003`` with folders 0 to f, clips of 29 s as mono MP3
of 16 kHz and 32 kbit/s, both tables with their 188 tags, and the three files of 0 bytes. One clip
a track, where the original cuts several from each: a composed track is 30 s long.
"""

import csv
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import soundfile
from tqdm import tqdm

from mirdl.compose import synth
from mirdl.compose.collection import SEED, claim, describe, read_tracks, record_track
from mirdl.errors import DataError, MirdlError
from mirdl.paths import room_for, write_atomically

#: Samples that MP3 turns into 465,984 (29.1 s, counting its own delay), as an original clip has.
N_SAMPLES = 464_832
#: Where libsndfile's MP3 coder gives 32 kbit/s at 16 kHz.
COMPRESSION = 0.84
PARTS = ("mp3.zip.001", "mp3.zip.002", "mp3.zip.003")
CHECKSUMS = "checksums.txt"
#: clip_id of the files of 0 bytes; ours are a second clip of three training tracks.
EMPTY = (35644, 55753, 57881)
#: The other ids begin here, beyond those of the original: no clip is mistaken for a real one.
FIRST_ID = 100_001

#: With fewer clips, no folder of the validation or test clips gets one.
LEAST = 12

#: The 188 tags in the order of the original table.
TAGS = """\
no voice|singer|duet|plucking|hard rock|world|bongos|harpsichord|female singing|clasical|sitar|\
chorus|female opera|male vocal|vocals|clarinet|heavy|silence|beats|men|woodwind|funky|no strings|\
chimes|foreign|no piano|horns|classical|female|no voices|soft rock|eerie|spacey|jazz|guitar|quiet|\
no beat|banjo|electric|solo|violins|folk|female voice|wind|happy|ambient|new age|synth|funk|\
no singing|middle eastern|trumpet|percussion|drum|airy|voice|repetitive|birds|space|strings|bass|\
harpsicord|medieval|male voice|girl|keyboard|acoustic|loud|classic|string|drums|electronic|\
not classical|chanting|no violin|not rock|no guitar|organ|no vocal|talking|choral|weird|opera|\
soprano|fast|acoustic guitar|electric guitar|male singer|man singing|classical guitar|country|\
violin|electro|reggae|tribal|dark|male opera|no vocals|irish|electronica|horn|operatic|arabic|lol|\
low|instrumental|trance|chant|strange|drone|synthesizer|heavy metal|modern|disco|bells|man|deep|\
fast beat|industrial|hard|harp|no flute|jungle|pop|lute|female vocal|oboe|mellow|orchestral|viola|\
light|echo|piano|celtic|male vocals|orchestra|eastern|old|flutes|punk|spanish|sad|sax|slow|male|\
blues|vocal|indian|no singer|scary|india|woman|woman singing|rock|dance|piano solo|guitars|\
no drums|jazzy|singing|cello|calm|female vocals|voices|different|techno|clapping|house|monks|flute|\
not opera|not english|oriental|beat|upbeat|soft|noise|choir|female singer|rap|metal|hip hop|quick|\
water|baroque|women|fiddle|english""".split("|")  # noqa: SIM905 (188 quotation marks more)

#: What players of TagATune would have written for a tag of ours; any other is its own word.
WORDS = {
    "drums": ("drums", "beat", "beats"),
    "vocal": ("vocal", "vocals", "voice"),
    "classical": ("classical", "classic"),
    "quiet": ("quiet", "soft"),
    "brass": ("horns",),
}
#: ... for a style that has no tag of its own among ours (electronic: four to the floor);
STYLE_WORDS = {
    "electronic": ("techno",),
    "newage": ("new age",),
    "raga": ("indian", "india"),
    "baroque": ("baroque",),
    "folk": ("folk",),
}
#: ... for General MIDI's "Choir Aahs", and where nobody sings. Women and men, opera, country,
#: harp and cello do not occur: 15 of the 50 tags that papers use stay empty.
CHOIR, CHOIR_WORDS = "0:52", ("choir",)
NO_VOCAL_WORDS = ("no vocals", "no vocal", "no voice", "instrumental")


def rehearse(folder, n_clips=240, seed=SEED, source=None, workers=None, progress=True):
    """Write a copy of MagnaTagATune's layout that holds music of our own.

    Finished clips are kept in ``clips/`` (it may be deleted at the end): a call that was
    interrupted, by ``kill -9`` too, goes on where it was, and a larger set begins with the clips
    of a smaller one.

    Parameters
    ----------
    folder : path-like
        Receives the archive, the tables and ``checksums.txt`` (as of ``sha256sum``):
        ``mirdl data get magnatagatune --source`` takes them from there. 0.24 MB a clip.
    n_clips : int
        Clips that sound, at least 12; the three empty ones come on top. The original has 25,860.
    seed : int
        Of the music.
    source : path-like, optional
        A set in the layout of ``data/minitag`` to cut the clips from, without a synthesiser;
        otherwise they are rendered.
    workers : int, optional
        Processes; by default one a core.
    progress : bool
        Show a bar.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    MirdlError
        Without FluidSynth, its sound font or the extra ``mirdl[render]``; or a process died.
    DataError
        The folder holds another set, the source has too few tracks, or the disk is full.
    """
    folder, workers = Path(folder), workers or os.cpu_count() or 1
    if n_clips < LEAST:
        raise MirdlError(f"a rehearsal takes at least {LEAST} clips, to have some in every split")
    rows = [None] * n_clips if source is None else _tracks(Path(source), n_clips)
    if source is None:
        synth.library(), synth.sound_font()
    claim(folder, {"rehearsal": 1, "seed": seed, "source": source and Path(source).name})
    missing = [i for i in range(n_clips) if not _record_file(folder, i).exists()]
    work = partial(_make_clip, folder=str(folder), seed=seed, source=source and str(source))
    with _pool(workers, source) as pool:
        done = pool.map(work, missing, [rows[i] for i in missing])
        try:
            list(tqdm(done, total=len(missing), disable=not progress, unit="clip"))
        except BrokenProcessPool as error:
            raise MirdlError(
                "a process that renders died (killed for its memory?): the clips that are done"
                " are kept; run the same again, with fewer --workers"
            ) from error
    records = [json.loads(_record_file(folder, i).read_text()) for i in range(n_clips)]
    if missing or not _complete(folder, n_clips + len(EMPTY)):
        publish(folder, records, progress)
    return folder


def publish(folder, records, progress=True):
    """Write the archive in three parts, the tables and, last, the checksums.

    Parameters
    ----------
    folder : path-like
        Holds ``clips/``.
    records : list of dict
        As `clip_record` gives them.
    progress : bool
    """
    folder = Path(folder)
    (folder / CHECKSUMS).unlink(missing_ok=True)
    records = records + _empty(records)
    _write_table(folder / "annotations_final.csv", ["clip_id", *TAGS, "mp3_path"], (
        {tag: int(tag in record["tags"]) for tag in TAGS} | record["info"] for record in records
    ))  # fmt: skip
    _write_table(
        folder / "clip_info_final.csv",
        list(records[0]["info"]),
        (record["info"] for record in records),
    )
    _write_archive(folder, [record["info"]["mp3_path"] for record in records], progress)
    names = (*PARTS, "annotations_final.csv", "clip_info_final.csv")
    lines = "".join(f"{_sha256(folder / name)}  {name}\n" for name in names)
    write_atomically(folder / CHECKSUMS, lines)


def clip_record(index, row):
    """Describe one clip: what the tables say, and its words.

    Parameters
    ----------
    index : int
        Number of the track, from 0.
    row : dict
        As in ``tracks.csv``: artist, style, key, programs, tags.

    Returns
    -------
    dict
        ``info``, a row of ``clip_info_final.csv``, and ``tags``.
    """
    artist, number = row["artist"], index % 3 + 1
    # an artist's third track is on another album, so that artists cross the folders as there
    album = f"{artist}_first" if number < 3 else f"{artist}_second"
    title = f"{row['style']} in {row['key'].replace('#', ' sharp')}"
    name = f"{artist}-{album}-{number:02d}-{_snake(title)}-0-29.mp3"
    info = {
        "clip_id": FIRST_ID + index,
        "track_number": number,
        "title": title,
        "artist": artist,
        "album": album,
        "url": "",
        "segmentStart": 0,
        "segmentEnd": 29,
        "original_url": "",
        "mp3_path": f"{hashlib.md5(album.encode()).hexdigest()[-1]}/{name}",
    }
    return {"info": info, "tags": words(row)}


def words(row):
    """Translate our tags of a track into words of MagnaTagATune, by `WORDS` and its neighbours."""
    ours = [tag for tag in row["tags"].split("|") if tag]
    chosen = {word for tag in ours for word in WORDS.get(tag, (tag,))}
    chosen.update(STYLE_WORDS.get(row["style"], ()))
    if "vocal" not in ours:
        chosen.update(NO_VOCAL_WORDS)
    elif CHOIR in [part.split("=")[-1] for part in row["programs"].split("|")]:
        chosen.update(CHOIR_WORDS)
    return [tag for tag in TAGS if tag in chosen]


def _pool(workers, source):
    """Composing is Python, for processes; cutting is libsndfile, which threads share well."""
    if source is not None:
        return ThreadPoolExecutor(workers)
    # a fresh process each: a fork would inherit locks that other threads hold
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _make_clip(index, row, folder, seed, source):
    if source is None:
        piece, samples, parts = record_track(index, seed)
        row = describe(piece, parts, piece.seconds)["row"]
    else:
        samples, _ = soundfile.read(Path(source) / row["path"], dtype="int16")
    record = clip_record(index, row)
    path = Path(folder) / "clips" / record["info"]["mp3_path"]
    write_atomically(path, encode(samples[:N_SAMPLES]))
    write_atomically(_record_file(folder, index), json.dumps(record))


def encode(samples):
    """Return samples at 16 kHz as MP3 of 32 kbit/s: no header frame, as in the original."""
    file = io.BytesIO()
    options = {"bitrate_mode": "CONSTANT", "compression_level": COMPRESSION}
    soundfile.write(file, samples, synth.SAMPLE_RATE, format="MP3", **options)
    return file.getvalue()


def _tracks(source, n_clips):
    rows = read_tracks(source)
    if len(rows) < n_clips:
        raise DataError(source, f"has {len(rows)} tracks, not {n_clips}")
    return rows[:n_clips]


def _record_file(folder, index):
    return Path(folder) / "records" / f"{index + 1:06d}.json"


def _complete(folder, n_rows):
    """Whether an earlier call has written everything for this number of clips."""
    if not (folder / CHECKSUMS).exists():
        return False
    with open(folder / "annotations_final.csv", "rb") as table:
        return sum(1 for _ in table) == n_rows + 1


def _empty(records):
    """Return the three clips of 0 bytes: each begins where the first of a training track ends."""
    training = [each for each in records if each["info"]["mp3_path"][0] not in "cdef"]
    found = []
    for clip_id, record in zip(EMPTY, training[: len(EMPTY)], strict=True):
        info = record["info"]
        later = {"segmentStart": 29, "segmentEnd": 58}
        path = info["mp3_path"].replace("-0-29.mp3", "-29-58.mp3")
        found.append({**record, "info": info | later | {"clip_id": clip_id, "mp3_path": path}})
    return found


def _write_table(path, columns, rows):
    text = io.StringIO()
    table = csv.DictWriter(
        text, columns, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n",
        extrasaction="ignore",
    )  # fmt: skip
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, text.getvalue())


def _write_archive(folder, mp3_paths, progress):
    """Zip the clips and cut the file in three, with no second copy of the whole on the disk."""
    whole = folder / "mp3.zip"
    with room_for(whole):
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in tqdm(mp3_paths, "archive", disable=not progress, unit="file"):
                clip = folder / "clips" / name
                content = clip.read_bytes() if clip.exists() else b""
                archive.writestr(_dateless(name), content, compresslevel=1)
        size = -(-whole.stat().st_size // len(PARTS))
        with open(whole, "r+b") as file:
            for number, part in reversed(list(enumerate(PARTS[1:], 1))):
                file.seek(number * size)
                with open(folder / part, "wb") as target:
                    shutil.copyfileobj(file, target)
                file.truncate(number * size)
        whole.replace(folder / PARTS[0])


def _dateless(name):
    member = zipfile.ZipInfo(name)  # of 1980: the same set gives the same bytes
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _snake(text):
    return text.lower().replace(" ", "_")
