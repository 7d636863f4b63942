import hashlib
import json
import lzma
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neural import fetch
from neural.corpus import load
from neural.labelled import sib200
from sim.runs.errors import UserError
from tests.neural.test_corpus import DATA, needs_data

TEXT = "".join(f"  line {number}  of the\tnews \r\n" for number in range(5000)).encode()
EXPECTED = "".join(f"line {number} of the news\n" for number in range(5000)).encode()


@dataclass
class Server:
    """Files by path; `cut[path]` are the bytes after which the connections to come break, one each."""

    files: dict[str, bytes]
    cut: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server():
    state = Server({"/en.txt": TEXT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked.append((self.path, self.headers.get("Range")))
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = 0
            if state.ranges and self.headers.get("Range"):
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cuts = state.cut.get(self.path)
            sent = content[start : start + cuts.pop(0)] if cuts else content[start:]
            self.wfile.write(sent)
            self.close_connection = True

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def origin(server, monkeypatch):
    """ntrex as one file of the server."""
    made = fetch.Origin(
        "en.test.txt.xz", (f"{server.url}/en.txt",), hashlib.sha256(EXPECTED).hexdigest()
    )
    monkeypatch.setitem(fetch.ORIGINS, "ntrex", (made,))
    return made


def refused(folder, *parts):
    with pytest.raises(UserError) as caught:
        fetch.fetch("ntrex", folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    assert not (folder / "text" / "ntrex").exists()


def unpacked(path):
    return lzma.decompress(path.read_bytes())


def content(folder):
    return unpacked(folder / "text" / "ntrex" / "en.test.txt.xz")


def test_what_is_fetched_is_normalised_and_loads_as_a_corpus(server, origin, tmp_path):
    folder = fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED
    assert [path.name for path in folder.iterdir()] == ["en.test.txt.xz"]
    assert [path.name for path in folder.parent.iterdir()] == ["ntrex"]
    corpus = load(["ntrex"], data_dir=tmp_path)
    assert corpus.documents("en", "test")[0].passages[0] == "line 0 of the news"
    server.files.clear()
    assert fetch.fetch("ntrex", tmp_path) == folder  # it is there: nothing is asked for


def test_columns_stand_side_by_side(server, tmp_path, monkeypatch):
    server.files = {"/a": "\ufeffe\u0301t\u00e9\n\x07b\n".encode(), "/b": b"x\ny"}
    expected = "\u00e9t\u00e9\tx\nb\ty\n".encode()
    made = fetch.Origin(
        "en.test.txt.xz",
        (f"{server.url}/a", f"{server.url}/b"),
        hashlib.sha256(expected).hexdigest(),
    )
    monkeypatch.setitem(fetch.ORIGINS, "ntrex", (made,))
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == expected


def test_a_broken_connection_goes_on_where_it_broke(server, origin, tmp_path):
    server.cut["/en.txt"] = [3 * fetch.CHUNK + 1, 2 * fetch.CHUNK]
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED
    starts = [f"bytes={chunks * fetch.CHUNK}-" for chunks in (3, 5)]
    assert [asked for _, asked in server.asked] == [None, *starts]


def test_a_later_call_goes_on_where_the_last_one_gave_up(server, origin, tmp_path):
    server.cut["/en.txt"] = [fetch.CHUNK] * fetch.ATTEMPTS
    refused(tmp_path, "/en.txt", "goes on where it stopped")
    server.asked.clear()
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED
    assert [asked for _, asked in server.asked] == [f"bytes={fetch.CHUNK * fetch.ATTEMPTS}-"]


def test_a_server_without_ranges_is_asked_again_for_all(server, origin, tmp_path):
    server.ranges = False
    server.cut["/en.txt"] = [10_000]
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED


@pytest.mark.parametrize(("more", "requests"), [(0, 1), (7, 2)], ids=["whole", "too long"])
def test_a_part_that_leaves_nothing_to_ask_for(server, origin, tmp_path, more, requests):
    raw = tmp_path / "text" / ".ntrex.fetching" / fetch.RAW_FOLDER
    raw.mkdir(parents=True)
    name = hashlib.sha256(origin.urls[0].encode()).hexdigest()[:16]
    (raw / f"{name}.part").write_bytes(TEXT + bytes(more))
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED
    assert len(server.asked) == requests


@pytest.mark.parametrize(
    "other", [TEXT.replace(b"4999", b"4998"), TEXT[:-100], b"\xff\xfe", b"", b"<html>\n"]
)
def test_other_content_is_refused_and_forgotten(server, origin, tmp_path, other):
    server.files["/en.txt"] = other
    refused(tmp_path, "/en.txt", "sha256", origin.sha256[:16])
    server.files["/en.txt"] = TEXT
    fetch.fetch("ntrex", tmp_path)
    assert content(tmp_path) == EXPECTED


def test_what_cannot_be_reached_is_named(server, origin, tmp_path):
    server.files.clear()
    refused(tmp_path, f"{server.url}/en.txt", "404")
    assert len(server.asked) == 1  # no use in asking again


def test_a_corpus_of_two_files_appears_with_both(server, origin, tmp_path, monkeypatch):
    second = fetch.Origin("el.test.txt.xz", (f"{server.url}/el.txt",), origin.sha256)
    monkeypatch.setitem(fetch.ORIGINS, "ntrex", (origin, second))
    refused(tmp_path, "/el.txt")
    server.files["/el.txt"] = TEXT
    server.asked.clear()
    fetch.fetch("ntrex", tmp_path)
    assert [path for path, _ in server.asked] == ["/el.txt"]


def test_topics_lose_their_head(server, tmp_path, monkeypatch):
    server.files = {"/en": b"index_id\tcategory\ttext\n7\ttravel\tBy  train\xc2\xa0there. \r\n"}
    expected = b"7\ttravel\tBy train there.\n"
    made = fetch.Origin(
        "en.test.tsv.xz",
        (f"{server.url}/en",),
        hashlib.sha256(expected).hexdigest(),
        form=fetch.topics,
    )
    monkeypatch.setitem(fetch.ORIGINS, "sib200", (made,))
    folder = fetch.fetch("sib200", tmp_path)
    assert unpacked(folder / "en.test.tsv.xz") == expected
    found = sib200("en", "test", tmp_path)
    assert (found.sentences, found.names[found.labels[0]]) == (("By train there.",), "travel")


def squad(rows):
    """Paragraphs in the form of their origin."""
    paragraphs = [
        {
            "qas": [
                {
                    "answers": [{"answer_start": item["start"], "text": item["answer"]}],
                    "id": item["id"],
                    "question": item["question"],
                }
                for item in row["qas"]
            ],
            "context": row["context"],
        }
        for row in rows
    ]
    return json.dumps({"data": [{"paragraphs": paragraphs[:3]}, {"paragraphs": paragraphs[3:]}]})


@pytest.mark.parametrize("other", [b"[1]", b'{"data": [{}]}', b"<html>"])
def test_answers_in_another_form_are_refused(server, tmp_path, monkeypatch, other):
    server.files = {"/en": other}
    made = fetch.Origin("en.jsonl.xz", (f"{server.url}/en",), "0" * 64, form=fetch.paragraphs)
    monkeypatch.setitem(fetch.ORIGINS, "xquad", (made,))
    with pytest.raises(UserError, match=r"gave another en\.jsonl\.xz than expected"):
        fetch.fetch("xquad", tmp_path)


@needs_data
@pytest.mark.parametrize("name", ["sib200", "xquad"])
def test_what_is_annotated_comes_back_as_it_is_pinned(server, name, tmp_path, monkeypatch):
    folder = DATA / fetch.FOLDERS[name]
    served = []
    for origin in fetch.ORIGINS[name]:
        text = unpacked(folder / origin.file).decode()
        if name == "xquad":
            raw = squad([json.loads(line) for line in text.splitlines()])
        else:
            raw = f"index_id\tcategory\ttext\n{text}"
        server.files[f"/{origin.file}"] = raw.encode()
        served.append(replace(origin, urls=(f"{server.url}/{origin.file}",)))
    monkeypatch.setitem(fetch.ORIGINS, name, tuple(served))
    found = fetch.fetch(name, tmp_path)
    assert {path.name for path in found.iterdir()} == {path.name for path in folder.iterdir()}


@needs_data
def test_pins_are_of_the_data():
    for path, sha256 in fetch.PINS.items():
        content = unpacked(DATA / f"{path}.xz")
        assert hashlib.sha256(content).hexdigest() == sha256, path


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ud", ("cannot be fetched", "https://github.com/UniversalDependencies")),
        ("bable", ("unknown corpus 'bable'", "bible")),
        ("bible", ("cannot be fetched", "--data-dir")),
    ],
)
def test_what_cannot_be_fetched_says_why(name, parts, tmp_path):
    with pytest.raises(UserError) as caught:
        fetch.fetch(name, tmp_path)
    assert all(part in str(caught.value) for part in parts), caught.value
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(origin, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(UserError, match="cannot write to"):
        fetch.fetch("ntrex", path)
