"""Random damage to everything that is read: only errors made on purpose may come of it.

python tests/reliability/fuzz_trial.py --seconds 3600

Seconds are of the processor, children included, per target.
"""

import argparse
import io
import random
import resource
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import trial_setup as setup

import store_faults as faults  # isort: skip

from sharedcli.errors import DocumentError, SharedCLIError, UsageError
from sharedcli.ingest.reader import DocumentReader
from sharedcli.settings import load_settings
from sharedcli.store.store import Store

SAMPLE = setup.TESTS.parent / "sharedcli" / "samples" / "halvard-ridge.pdf"
GOLDEN = setup.TESTS / "store" / "golden" / "v1" / "store"
SETTINGS = b"""model = "default"
budget = 512
temperature = 0.5
offline = true
quota = "20GB"
store = "../trees"
slot_format = "int8"
color = "never"
"""
DOCX_PARTS = {
    "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/'
    'package/2006/content-types"><Override PartName="/word/document.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/'
    'package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
    "</Relationships>",
    "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.'
    'org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>The lamp burned oil.</w:t></w:r></w:p>'
    "</w:body></w:document>",
}
EPUB_PARTS = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:'
    'names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="a.opf" media-type='
    '"application/oebps-package+xml"/></rootfiles></container>',
    "a.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
    '<metadata/><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/>'
    '</manifest><spine><itemref idref="c"/></spine></package>',
    "c.xhtml": "<html><body><h1>Log</h1><p>The lamp burned oil.</p></body></html>",
}
TEXTS = {
    ".html": b"<!doctype html><html><body><h1>Log</h1><p>The <b>lamp</b> burned&nbsp;oil.</p>"
    b"<table><tr><td>1</td></tr></table></body></html>",
    ".md": b"# Log\n\n```\ncode\n```\n\nThe *lamp* burned [oil](x).\n\n| a | b |\n|---|---|\n",
    ".txt": "The lamp burned oil.\fÖl, naïve, 漢字\r\n".encode() * 5,
}
CHUNKS = (b"\0" * 9, b"\xff\xfe", b"<" * 50, b"%%EOF", b"obj", b"stream\n", b"PK\3\4", b"9" * 30)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, double, move or insert a few times."""
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(work) + 1)
        to = min(len(work), at + rng.choice((1, 2, 8, 64, 1024)))
        match rng.randrange(6):
            case 0 if at < len(work):
                work[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(work):
                work[at] = rng.choice((0, 0x20, 0x7F, 0xFF, rng.randrange(256)))
            case 2:
                del work[at:to]
            case 3:
                work[at:at] = work[at:to]
            case 4:
                work[at:at] = rng.choice(CHUNKS)
            case _:
                part = bytes(work[at:to])
                del work[at:to]
                place = rng.randrange(len(work) + 1)
                work[place:place] = part
    return bytes(work)


def zipped(parts: dict[str, str], store: bool = False) -> bytes:
    """An archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", 0 if store else zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def fuzz_readers(place: Path, rng: random.Random, spent: Callable[[], bool]) -> Counter[str]:
    """Damaged documents of every format; inside of archives the members are damaged too."""
    whole = {".pdf": SAMPLE.read_bytes(), **TEXTS}
    outcomes: Counter[str] = Counter()
    while not spent():
        # the processor time of a worker counts when it has ended
        with DocumentReader() as reader:
            for _ in range(20):
                suffix = rng.choice((*whole, ".docx", ".epub"))
                data = mutated(rng, whole[suffix]) if suffix in whole else _archive(rng, suffix)
                file = place / f"damaged{suffix}"
                file.write_bytes(data)
                try:
                    reader.read(file)
                    outcomes["read"] += 1
                except DocumentError:
                    outcomes["refused"] += 1
                except Exception as error:
                    _keep(outcomes, error, data, suffix)
    return outcomes


def _archive(rng: random.Random, suffix: str) -> bytes:
    """A docx or epub with a damaged member, or damaged itself as well."""
    parts = dict(DOCX_PARTS if suffix == ".docx" else EPUB_PARTS)
    name = rng.choice(sorted(parts))
    parts[name] = mutated(rng, parts[name].encode()).decode("utf-8", "replace")
    data = zipped(parts, rng.random() < 0.5)
    return data if rng.random() < 0.5 else mutated(rng, data)


def fuzz_store(place: Path, rng: random.Random, spent: Callable[[], bool]) -> Counter[str]:
    """A damaged store: opened, checked, and asked for everything."""
    path = place / "store"
    faults.sample_store(path)
    whole = faults.samples.files(path)
    with Store.open(path) as store:
        expected = faults.answers(store)
    outcomes: Counter[str] = Counter()
    while not spent():
        name = rng.choice(sorted(whole))
        data = mutated(rng, whole[name])
        (path / name).write_bytes(data)
        try:
            outcome = faults.probe(path, expected)
            outcomes["wrong answers" if outcome.startswith("WRONG") else outcome] += 1
        except Exception as error:
            _keep(outcomes, error, data, name.suffix)
        for extra in path.glob("catalogue.sqlite3-*"):
            extra.unlink()
        (path / name).write_bytes(whole[name])
    return outcomes


def fuzz_import(place: Path, rng: random.Random, spent: Callable[[], bool]) -> Counter[str]:
    """A damaged file of ``export``."""
    with Store.open(GOLDEN) as store:
        store.export(store.documents()[0].id, place / "whole.tree")
    whole = (place / "whole.tree").read_bytes()
    outcomes: Counter[str] = Counter()
    with Store.open(place / "store", create=True) as store:
        while not spent():
            data = mutated(rng, whole)
            (place / "damaged.tree").write_bytes(data)
            try:
                store.remove([store.import_file(place / "damaged.tree").id])
                outcomes["taken"] += 1
            except SharedCLIError:
                outcomes["refused"] += 1
            except Exception as error:
                _keep(outcomes, error, data, ".tree")
    return outcomes


def fuzz_settings(place: Path, rng: random.Random, spent: Callable[[], bool]) -> Counter[str]:
    """A damaged configuration file."""
    file = place / "config.toml"
    outcomes: Counter[str] = Counter()
    while not spent():
        data = mutated(rng, SETTINGS)
        file.write_bytes(data)
        try:
            load_settings({}, environ={}, directory=place, user=file)
            outcomes["read"] += 1
        except UsageError:
            outcomes["refused"] += 1
        except Exception as error:
            _keep(outcomes, error, data, ".toml")
    return outcomes


TARGETS = {
    "readers": fuzz_readers,
    "store": fuzz_store,
    "import": fuzz_import,
    "settings": fuzz_settings,
}


def trial(target: str, place: Path, seconds: float, seed: int = 0) -> Counter[str]:
    """Fuzz one target for so many seconds of the processor."""
    place.mkdir()
    begun = _processor_seconds()
    return TARGETS[target](
        place, random.Random(seed), lambda: _processor_seconds() - begun >= seconds
    )


def _processor_seconds() -> float:
    both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _keep(outcomes: Counter[str], error: Exception, data: bytes, suffix: str) -> None:
    """Count a crash and keep the file that led to it."""
    outcomes["crashes"] += 1
    with tempfile.NamedTemporaryFile(prefix="crash-", suffix=suffix, delete=False) as file:
        file.write(data)
    print(f"{type(error).__name__}: {error} ({file.name})", file=sys.stderr)


def main() -> None:
    """Fuzz every target, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for target in options.targets:
            found = trial(target, Path(folder, target), options.seconds, options.seed)
            setup.report(f"fuzzing {target}", seconds=options.seconds, **found)


if __name__ == "__main__":
    main()
