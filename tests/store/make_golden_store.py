"""Make ``golden/v<version>``: a small store as this release writes it, and what it must answer.

    python tests/store/make_golden_store.py

Run once per format version, before the first release that writes it; never again for a version
that has been released. The tests open these stores with every later release.
"""

import hashlib
import json
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

from sharedcli.store import schema
from sharedcli.store.store import Store

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
TEXTS = {
    "log-book.txt": "The keeper wrote the weather into the book of the day. " * 8
    + "The lamp burned four litres of colza oil.\fThe fog bell rang twice in every minute. " * 2,
    "grüße.md": "# Ausrüstung\n\nZwei Öllampen, ein Nebelhorn.\n\n# Wetter\n\nWind aus Südwest.\n",
}


def answers(store: Store) -> dict[str, object]:
    """What the store holds, in plain values; tensors as digests."""
    # where its files were is of the place, not of the store
    found: dict[str, object] = {
        "failures": [(Path(one.source).name, one.reason) for one in store.failures()],
        "hits": [(hit.doc_id, hit.ordinal) for hit in store.search_text('"colza"')],
    }
    for record in store.documents():
        document = store.load_document(record.id)
        chunks = []
        for span in store.chunks(record.id):
            tokens = store.chunk_tokens(record.id, span.index)
            tensors = {
                name: [list(t.shape), hashlib.sha256(t.float().numpy().tobytes()).hexdigest()]
                for name, t in store.read_chunk(record.id, span.index).items()
            }
            chunks.append([vars(span), tokens.token_ids.tolist(), tensors])
        ((_, passages, _),) = store.read_passages([record.id])
        found[record.id] = {
            "record": {name: one for name, one in vars(record).items() if name != "path"},
            "identity": json.loads(store.identity(record.id).to_json()),
            "text": document.text,
            "pages": [vars(page) for page in document.pages],
            "passages": [vars(passage) for passage in passages],
            "chunks": chunks,
        }
    return json.loads(json.dumps(found))


def main() -> None:
    """Index two texts with a tiny seeded model, and note what the store answers."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    write_tiny_base = runpy.run_path(str(HERE.parent / "conftest.py"))["write_tiny_base"]
    from sharedcli.engine.engine import Engine
    from sharedcli.settings import Settings

    target = GOLDEN / f"v{schema.FORMAT_VERSION}"
    if target.exists():
        sys.exit(f"{target} exists; a golden store is made once")
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        Path("model").mkdir()
        write_tiny_base(Path("model"), num_hidden_layers=2)
        for name, text in TEXTS.items():
            Path(name).write_text(text, encoding="utf-8")
        Path("empty.txt").touch()
        settings = Settings(
            store=Path("store"),
            cache=Path("cache"),
            model="model",
            device="cpu",
            dtype="float32",
            offline=True,
            chunk_tokens=128,
            depth=2,
            slots_per_node=4,
        )
        with Engine(settings) as engine:
            list(engine.index([*TEXTS, "empty.txt"]))
            engine.store().gc()
            expected = answers(engine.store())
        shutil.copytree("store", target / "store", ignore=shutil.ignore_patterns("lock", "tmp"))
        text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
        (target / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
