import hashlib
import json
import lzma
import re
import threading
import zipfile
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest

from neural.across import plan as across
from neural.dynamics import plan as dynamics
from neural.imbalance import plan as imbalance
from neural.robustness import plan as robustness
from neural.subnetworks import plan as subnetworks
from neural.text import corpora, corpus, fetch
from neural.text.corpus import load
from neural.text.labelled import sib200
from neural.text.origins import FOLDERS, PINS, fluent, forms
from sim.runs.errors import UserError
from tests.neural.text.test_corpus import DATA, needs_data

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
        form=forms.topics,
    )
    monkeypatch.setitem(fetch.ORIGINS, "sib200", (made,))
    folder = fetch.fetch("sib200", tmp_path)
    assert unpacked(folder / "en.test.tsv.xz") == expected
    topics = sib200("en", "test", tmp_path)
    assert (topics.sentences, topics.names[topics.labels[0]]) == (("By train there.",), "travel")


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
    made = fetch.Origin("en.jsonl.xz", (f"{server.url}/en",), "0" * 64, form=forms.paragraphs)
    monkeypatch.setitem(fetch.ORIGINS, "xquad", (made,))
    with pytest.raises(UserError, match=r"gave another en\.jsonl\.xz than expected"):
        fetch.fetch("xquad", tmp_path)


@needs_data
@pytest.mark.parametrize("name", ["sib200", "xquad"])
def test_what_is_annotated_comes_back_as_it_is_pinned(server, name, tmp_path, monkeypatch):
    folder = DATA / FOLDERS[name]
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
    fetched = fetch.fetch(name, tmp_path)
    assert {path.name for path in fetched.iterdir()} == {path.name for path in folder.iterdir()}


@needs_data
def test_pins_are_of_the_data():
    for path, sha256 in PINS.items():
        content = unpacked(DATA / f"{path}.xz")
        assert hashlib.sha256(content).hexdigest() == sha256, path


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("msdocs", ("not distributed", "https://github.com/MicrosoftDocs")),
        ("bable", ("unknown corpus 'bable'", "bible", "laptop")),
        ("gutenberg", ("not distributed", "--data-dir")),
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


# Treebanks and named entities.


def conllu(*names):
    """Sentences of a treebank as released, of these identifiers."""
    return "".join(
        f"# newdoc id = d{name}\n# sent_id = {name}\n# text = Ab c\n# text_en = X\n"
        "1-2\tAb\t_\t_\t_\t_\t_\t_\t_\tTranslit=x|SpaceAfter=No\n"
        "1\ta\ta\tX\tY\tA=B\t2\tdet\t2:det\tGloss=a\n"
        "1.1\te\te\tX\tY\t_\t_\t_\t0:root\t_\n"
        "2\tb\tb\tX\tY\t_\t0\troot\t0:root\tLemma=b\n\n"
        for name in names
    )


def basic(*names):
    """What is kept of them."""
    return "".join(
        f"# newdoc id = d{name}\n# sent_id = {name}\n# text = Ab c\n"
        "1-2\tAb\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n"
        "1\ta\ta\tX\tY\tA=B\t2\tdet\t_\t_\n"
        "2\tb\tb\tX\tY\t_\t0\troot\t_\t_\n\n"
        for name in names
    )


def test_treebanks_keep_basic_dependencies_alone(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(conllu("x-1", "x-2"))
    assert forms.treebank([path, path]).decode() == basic("x-1", "x-2", "x-1", "x-2")


def test_the_last_tenth_of_a_treebank_is_its_dev_part(tmp_path):
    path = tmp_path / "a.conllu"
    names = [f"s{number}" for number in range(21)]
    path.write_text(conllu(*names))
    assert forms.first_tenths([path]).decode() == basic(*names[:18])
    assert forms.last_tenth([path]).decode() == basic(*names[18:])


def test_pooled_parts_are_drawn_by_sentence_or_by_document(tmp_path):
    dev, test = tmp_path / "dev", tmp_path / "test"
    names = [f"b{document}.{number}" for document in range(300) for number in range(3)]
    dev.write_text(conllu(*names[:450]))
    test.write_text(conllu(*names[450:]))
    for before in ("", "."):
        parts = {
            part: [
                line.partition("= ")[2]
                for line in forms.pooled("UD_X", part, before)([dev, test]).decode().splitlines()
                if line.startswith("# sent_id")
            ]
            for part in ("train", "dev", "test")
        }
        assert sorted(name for sent_ids in parts.values() for name in sent_ids) == sorted(names)
        assert 0.6 < len(parts["train"]) / len(names) < 0.8
        assert 0.12 < len(parts["test"]) / len(names) < 0.28
        documents = [{name.partition(".")[0] for name in sent_ids} for sent_ids in parts.values()]
        assert bool(set.intersection(documents[0], documents[2])) == (not before)


def test_entities_are_three_columns(tmp_path):
    path = tmp_path / "a.iob2"
    path.write_text(
        "# newdoc id = n\n# sent_id = n-1\n# text = A b\n1\tA\tB-PER\t-\tc\n2\tb\tO\t-\t-\n\n"
    )
    assert forms.entities([path]) == b"# sent_id = n-1\n1\tA\tB-PER\n2\tb\tO\n\n"


@needs_data
@pytest.mark.parametrize(
    ("name", "kept", "raw"),
    [
        ("ud", "UD_Finnish-PUD/", {"test": ["UD_Finnish-PUD/test"]}),
        (
            "ud",
            "UD_Greek-GUD/",
            {
                "train": ["UD_Greek-GUD/train", "UD_Greek-GUD/dev"],
                "test": ["UD_Greek-GUD/test"],
            },
        ),
        (
            "ud",
            "UD_German-GSD",
            {
                "dev": ["UD_German-GSD_pooled/train", "UD_German-GSD_pooled/dev"],
                "test": ["UD_German-GSD_pooled/test"],
            },
        ),
        ("uner", "zh_gsdsimp.dev", {"dev": ["zh_gsdsimp.dev"]}),
    ],
)
def test_treebanks_and_entities_come_back_as_they_are_pinned(
    server, tmp_path, monkeypatch, name, kept, raw
):
    """Made of the data's own files, which lack what is dropped; pooled ones are divided by name."""
    suffix = ".conllu" if name == "ud" else ".iob2"
    served = [origin for origin in fetch.ORIGINS[name] if origin.file.startswith(kept)]
    for part, parts in raw.items():
        (url,) = {
            url for origin in served for url in origin.urls if url.endswith(f"-{part}{suffix}")
        }
        server.files[f"/{part}"] = b"".join(
            unpacked(DATA / FOLDERS[name] / f"{file}{suffix}.xz") for file in parts
        )
        served = [
            replace(
                origin,
                urls=tuple(f"{server.url}/{part}" if u == url else u for u in origin.urls),
            )
            for origin in served
        ]
    monkeypatch.setitem(fetch.ORIGINS, name, tuple(served))
    fetched = fetch.fetch(name, tmp_path)
    assert fetched == tmp_path / FOLDERS[name]
    assert [path.name for path in fetched.parent.iterdir()] == [fetched.name]
    for origin in served:
        digest = hashlib.sha256(unpacked(fetched / origin.file)).hexdigest()
        assert digest == PINS[f"{FOLDERS[name]}/{origin.file[:-3]}"]


def test_the_parts_of_the_chinese_treebank_are_on_a_list(tmp_path):
    names = [f"s{number}" for number in range(1000)]
    path = tmp_path / "a.conllu"
    path.write_text(conllu(*names))
    sizes = [forms.listed(part)([path]).count(b"# sent_id") for part in ("train", "dev", "test")]
    assert sizes == [698, 101, 201]
    path.write_text(conllu(*names[:-1]))
    with pytest.raises(ValueError, match="longer"):
        forms.listed("dev")([path])


def test_every_address_names_a_commit():
    for origins in fetch.ORIGINS.values():
        for origin in origins:
            for url in origin.urls:
                assert re.search(r"/[0-9a-f]{40}(/|$)", url), url


# A web site's messages.


def archive(**locales):
    """An archive of Fluent files by locale, below a folder of the whole."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as written:
        for locale, content in locales.items():
            written.writestr(f"www-0/{locale.replace('_', '-')}/a/page.ftl", content)
    return stream.getvalue()


SITE = """# A comment
-brand-name-x = X
few = Too few words
first = Get { -brand-name-firefox-esr } for<br>your   <a>own</a> browser
    on { -brand-name-ios(case: "x") }
again = Get { -brand-name-firefox-esr } for your own browser on { -brand-name-ios }
variable = Learn more about <a href="{ $url }">this nice site</a>
alone = Nobody translates this one message
same = View the source code &amp; more
"""
SPANISH = """first = Consigue { -brand-name-firefox-esr }\u200b hoy
same = View the source code &amp; more
variable = Hola
"""
GREEK = "same = \u0394\u03b5\u03c2 { -brand-name-github }\n# end\n"


def test_messages_are_aligned_by_name_with_brands_filled_in(server, tmp_path, monkeypatch):
    server.files = {"/zip": archive(en=SITE, es_ES=SPANISH, el=GREEK)}
    english = ["Get Firefox ESR for your own browser on iOS", "View the source code & more"]
    greek = ["", "\u0394\u03b5\u03c2 GitHub"]
    made = []
    for language, lines in (
        ("en", english),
        ("es", ["Consigue Firefox ESR hoy", ""]),
        ("el", greek),
        ("de", ["", ""]),
    ):
        content = "".join(f"{line}\n" for line in lines).encode()
        made.append(
            fetch.Origin(
                f"{language}.train.txt.xz",
                (f"{server.url}/zip",),
                hashlib.sha256(content).hexdigest(),
                form=fluent.messages(language, "train"),
            )
        )
    monkeypatch.setitem(fetch.ORIGINS, "mozilla_www", tuple(made))
    folder = fetch.fetch("mozilla_www", tmp_path)
    assert unpacked(folder / "el.train.txt.xz").decode().splitlines() == greek
    assert len(server.asked) == 1  # one archive for all


def test_messages_are_divided_by_their_english_text(tmp_path):
    rows = [f"m{number} = Message of quite some words number {number}" for number in range(2000)]
    path = tmp_path / "zip"
    path.write_bytes(archive(en="\n".join(rows), de="\n".join(f"{row} hier" for row in rows)))
    parts = [
        fluent.messages("de", part)([path]).splitlines() for part in ("train", "valid", "test")
    ]
    assert sum(map(len, parts)) == len({line for part in parts for line in part}) == 2000
    assert all(20 < len(part) < 60 for part in parts[1:])  # a fiftieth each


def test_a_damaged_archive_is_another_file(server, tmp_path, monkeypatch):
    server.files = {"/zip": archive(en=SITE)[:-30]}
    form = fluent.messages("en", "train")
    made = fetch.Origin("en.train.txt.xz", (f"{server.url}/zip",), "0" * 64, form=form)
    monkeypatch.setitem(fetch.ORIGINS, "mozilla_www", (made,))
    with pytest.raises(UserError, match="gave another"):
        fetch.fetch("mozilla_www", tmp_path)


# What comes with the package.


@pytest.mark.parametrize("name", corpora.PACKAGED)
def test_packaged_text_is_the_corpus_with_its_licence(name):
    folder = files("neural.text") / "packaged" / name
    there = {item.name for item in folder.iterdir()}
    pinned = {path: sha256 for path, sha256 in PINS.items() if path.startswith(f"text/{name}/")}
    assert {item for item in there if item.endswith(".xz")} == {
        f"{path.rpartition('/')[2]}.xz" for path in pinned
    }
    for path, sha256 in pinned.items():
        content = lzma.decompress((folder / f"{path.rpartition('/')[2]}.xz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == sha256, path
    said = (folder / "README.md").read_text()
    assert "Licence: " in said
    assert corpora.CORPORA[name].licence.lower() in said.lower()
    assert ("LICENSE" in there) == (name == "commonvoice")


def test_packaged_text_needs_no_folder_and_no_network(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packaged = load(["commonvoice"], ["el"])
    assert len(packaged.documents("el", "test")) > 100
    assert fetch.fetch("bible") == corpora.packaged("bible")
    copied = fetch.fetch("commonvoice", tmp_path / "data")
    assert copied == tmp_path / "data" / "text" / "commonvoice"
    assert (
        load(["commonvoice"], ["el"], data_dir=tmp_path / "data").fingerprint
        == packaged.fingerprint
    )
    assert not server.asked


def test_a_folder_of_the_user_s_own_goes_before_the_package(tmp_path):
    own = tmp_path / "text" / "bible"
    own.mkdir(parents=True)
    assert corpora.folder_of("bible", tmp_path) == own
    assert corpora.folder_of("commonvoice", tmp_path) == corpora.packaged("commonvoice")


# The command line.


def command(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["neural.corpus", *map(str, words)])
    return corpus.main()


def test_the_list_says_where_each_corpus_can_be_had(monkeypatch, capsys):
    assert command(monkeypatch, "list") == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    how = {name: line.split("; ")[-2] for name, line in rows.items()}
    assert set(rows) == set(corpora.CORPORA | corpora.ANNOTATED)
    assert {name for name in how if how[name] == "in the package"} == set(corpora.PACKAGED)
    assert {name for name in how if how[name] == "can be fetched"} == set(fetch.ORIGINS)
    assert how["gutenberg"] == how["msdocs"] == "not distributed"
    assert "https://www.gutenberg.org" in rows["gutenberg"]


def test_laptop_is_what_the_presets_read():
    needs = {
        "tense": "ud",
        "parts-of-speech": "ud",
        "arcs": "ud",
        "relations": "ud",
        "entities": "uner",
        "topics": "sib200",
        "sib200": "sib200",
    }
    read = {"xquad"}  # of word alignment in study B22
    for module in (across, dynamics, imbalance, robustness, subnetworks):
        plan = module.presets()["laptop"]
        for sources in (*plan.corpus, *getattr(plan, "aligned", ())):
            read |= set(sources.split("+"))
        if module is robustness:
            tasks = plan.classification.tasks
        elif module is across:
            tasks = ["parts-of-speech"] if plan.tagged else []
        else:
            tasks = plan.measures.tasks if module is imbalance else plan.tasks
        for task in tasks:
            kind = getattr(task, "name", task).partition(":")[0]
            read |= {needs[kind]} if kind in needs else set()
    assert read == set(corpora.LAPTOP)


@pytest.mark.parametrize("module", [across, dynamics, imbalance, robustness, subnetworks])
def test_every_study_has_a_preset_on_text_of_the_package(module):
    plan = module.presets()["bible"]
    plan.check()
    for sources in (*plan.corpus, *getattr(plan, "aligned", ())):
        assert set(sources.split("+")) <= set(corpora.PACKAGED)
    annotated = {
        across: lambda: plan.tagged,
        dynamics: lambda: set(plan.tasks) - {"pairing"},
        imbalance: lambda: plan.measures.tasks,
        robustness: lambda: plan.classification,
        subnetworks: lambda: {task.name for task in plan.tasks} - {"language-modelling"},
    }[module]()
    assert not annotated


def test_fetch_laptop_gets_what_there_is_and_names_the_rest(server, tmp_path, monkeypatch, capsys):
    for name in list(fetch.ORIGINS):
        made = fetch.Origin(
            "en.test.txt.xz", (f"{server.url}/en.txt",), hashlib.sha256(EXPECTED).hexdigest()
        )
        monkeypatch.setitem(fetch.ORIGINS, name, (made,))
    assert command(monkeypatch, "fetch", "laptop", "--data-dir", tmp_path) == 0
    out = capsys.readouterr().out.splitlines()
    folders, last = out[:-2], out[-2:]
    assert [Path(line).relative_to(tmp_path).as_posix() for line in folders] == [
        *("text/bible", "text/commonvoice", "text/mozilla_www", "text/ntrex"),
        *("ud", "ner/uner", "topic/sib200", "qa/xquad"),
    ]
    assert [line.partition(": not distributed; ")[0] for line in last] == [*("gutenberg", "msdocs")]
    assert all("https://" in line for line in last)


def test_fetch_laptop_goes_on_after_a_failure_and_says_so(server, tmp_path, monkeypatch, capsys):
    for name in list(fetch.ORIGINS):
        there = name != "ud"
        path = "/en.txt" if there else "/gone"
        made = fetch.Origin(
            "en.test.txt.xz", (f"{server.url}{path}",), hashlib.sha256(EXPECTED).hexdigest()
        )
        monkeypatch.setitem(fetch.ORIGINS, name, (made,))
    assert command(monkeypatch, "fetch", "laptop", "--data-dir", tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"neural.corpus: ud: cannot fetch {server.url}/gone (404")
    assert printed.err.count("\n") == 1
    assert (tmp_path / "qa" / "xquad").is_dir()
    assert not (tmp_path / "ud").exists()
