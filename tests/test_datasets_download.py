"""Downloads from a server of our own, and archives that are broken or malicious."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mirdl.datasets import download
from mirdl.errors import DataError

CONTENT = bytes(range(256)) * 4000
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT: /file honours ranges, /plain does not, /broken stops half-way."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/gone":
            return self.send_error(404)
        first = 0
        if self.headers.get("Range") and self.path != "/plain":
            first = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if first >= len(CONTENT):
                return self.send_error(416)
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        end = len(CONTENT) // 2 if self.path == "/broken" else len(CONTENT)
        self.wfile.write(CONTENT[first:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, path, names=("file",), **options):
    urls = [f"{server.url}/{name}" for name in names]
    return download.fetch(urls, path, progress=False, **options)


def test_a_file_arrives_once(server, tmp_path):
    path = fetch(server, tmp_path / "deep" / "a.bin", known_hash=SHA)
    assert path.read_bytes() == CONTENT
    fetch(server, path, known_hash=SHA)
    assert len(server.asked) == 1
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("name", ["file", "plain"])
def test_what_was_interrupted_goes_on(server, tmp_path, name):
    path = tmp_path / "a.bin"
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(server, path, ["broken"], known_hash=SHA)
    arrived = (tmp_path / "a.bin.part").stat().st_size
    assert len(CONTENT) // 2 - download.BLOCK < arrived <= len(CONTENT) // 2
    fetch(server, path, [name], known_hash=SHA)
    assert server.asked[-1] == (f"/{name}", f"bytes={arrived}-")
    assert path.read_bytes() == CONTENT


def test_interrupted_between_the_last_byte_and_the_end(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "a.bin", known_hash=SHA).read_bytes() == CONTENT


def test_a_half_file_of_known_size_is_completed(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT[:1000])
    path = fetch(server, tmp_path / "a.bin", n_bytes=len(CONTENT), exact=True)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/file", "bytes=1000-")]


def test_the_mirror_is_asked_next(server, tmp_path):
    path = fetch(server, tmp_path / "a.bin", ["gone", "file"])
    assert path.read_bytes() == CONTENT


def test_a_source_that_is_gone(server, tmp_path):
    with pytest.raises(DataError, match=r"a.bin: cannot be downloaded: .*404.*by hand"):
        fetch(server, tmp_path / "a.bin", ["gone"])


def test_wrong_hash_and_wrong_size(server, tmp_path):
    with pytest.raises(DataError, match=r"cannot be downloaded: .*hash"):
        fetch(server, tmp_path / "a.bin", known_hash="md5:" + "0" * 32)
    with pytest.raises(DataError, match=r"1,024,000 bytes came, the published size is 1,000"):
        fetch(server, tmp_path / "b.bin", n_bytes=1000, exact=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_before_the_start(server, tmp_path):
    with pytest.raises(DataError, match=r"not enough disk: 1000000\d*.00 GB needed"):
        fetch(server, tmp_path / "a.bin", n_bytes=10**15)
    assert server.asked == []


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_unzip_goes_on_where_it_stopped(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"x/1.txt": "one", "x/2.txt": "two"})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.txt").write_text("ONE")  # there, with the right size: left alone
    (tmp_path / "x" / "2.txt").write_text("t")  # begun
    download.unzip(archive, tmp_path, progress=False)
    assert (tmp_path / "x" / "1.txt").read_text() == "ONE"
    assert (tmp_path / "x" / "2.txt").read_text() == "two"


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "x/../../evil.txt"])
def test_archives_cannot_write_elsewhere(tmp_path, name):
    folder = tmp_path / "here"
    archive = zipped(tmp_path / "a.zip", {"good.txt": "good", name: "evil"})
    with pytest.raises(DataError, match="would be written outside"):
        download.unzip(archive, folder, progress=False)
    assert list(folder.iterdir()) == []
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo(name)
        member.size = 4
        file.addfile(member, io.BytesIO(b"evil"))
    if name.startswith("/"):  # tarfile strips the slash
        download.untar(archive, tmp_path / "there")
        assert (tmp_path / "there" / name[1:]).read_text() == "evil"
    else:
        with pytest.raises(DataError, match="outside"):
            download.untar(archive, tmp_path / "there")
    assert not (tmp_path / "evil.txt").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="link in the archive is a link"):
        download.unzip(tmp_path / "a.zip", tmp_path / "here", progress=False)


def test_damaged_archives(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"1.txt": "one " * 100})
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"one one", b"one two", 1))
    with pytest.raises(DataError, match=r"a.zip: damaged archive"):
        download.unzip(archive, tmp_path / "here", progress=False)
    assert not (tmp_path / "here" / "1.txt").exists()
    archive.write_bytes(content[:50])
    with pytest.raises(DataError, match=r"a.zip: damaged archive"):
        download.unzip(archive, tmp_path / "here", progress=False)
    with pytest.raises(DataError, match=r"a.zip: damaged archive"):
        download.untar(archive, tmp_path / "here")


@pytest.mark.parametrize("n_parts", [2, 3, 7])
def test_an_archive_in_parts_is_read_as_one(tmp_path, n_parts):
    archive = zipped(tmp_path / "a.zip", {f"{i}.txt": f"{i} " * 999 for i in range(9)})
    content = archive.read_bytes()
    step = len(content) // n_parts + 1
    parts = [tmp_path / f"a.zip.{i:03d}" for i in range(n_parts)]
    for i, part in enumerate(parts):
        part.write_bytes(content[i * step : (i + 1) * step])
    assert io.BufferedReader(download.Parts(parts)).read() == content
    download.unzip(io.BufferedReader(download.Parts(parts)), tmp_path / "here", progress=False)
    assert (tmp_path / "here" / "8.txt").read_text() == "8 " * 999


def test_a_python_that_cannot_unpack_safely_says_so(tmp_path, monkeypatch):
    monkeypatch.delattr(download.tarfile, "data_filter")
    with pytest.raises(DataError, match=r"3\.11\.4"):
        download.untar(tmp_path / "any.tar", tmp_path)
