"""The list of documents: who made them, under which name, and which files failed."""

import dataclasses

import pytest
import store_samples as samples

from sharedcli.errors import ModelMismatchError
from sharedcli.store.identity import TreeIdentity
from sharedcli.store.store import Store

OTHERS = {
    "model": "acme/other",
    "weights": "v" * 64,
    "adapter": "a" * 64,
    "tokenizer": "u" * 64,
    "dtype": "bfloat16",
    "quantization": "bnb-4bit",
    "injected_layers": 3,
    "geometry": {"chunk_tokens": 48, "depth": 2, "levels": "per_node"},
    "slot_format": "int8",
    "key_position": "rotated",
    "passage_encoder": "some/encoder",
    "compressor": "merged",
    "format_version": 2,
}


def test_every_field_of_an_identity_has_a_refusal() -> None:
    assert OTHERS.keys() == {field.name for field in dataclasses.fields(TreeIdentity)}


@pytest.mark.parametrize("field", OTHERS.keys() - {"slot_format", "compressor"})
def test_another_identity_is_refused_by_name(store: Store, field: str) -> None:
    own = {"passage_encoder": "acme/encoder"} if field == "passage_encoder" else {}
    record = samples.put(store, 1, maker=samples.identity(**own))
    store.check_identity(record, samples.identity(**own))
    other = samples.identity(**{field: OTHERS[field]})
    with pytest.raises(ModelMismatchError) as caught:
        store.check_identity(record, other)
    message = str(caught.value)
    name = "geometry.chunk_tokens" if field == "geometry" else field
    old, new = (
        ("24", "48")
        if field == "geometry"
        else (
            repr(getattr(samples.identity(**own), field)),
            repr(OTHERS[field]),
        )
    )
    assert f"{name} was {old}, is {new};" in message
    assert message.count(" was ") == 2  # "was indexed" and the one field
    assert "`sharedcli index --force '/papers/report 1.pdf'`" in message
    assert ("--model acme/base" in message) == (field == "model")


@pytest.mark.parametrize("field", ["slot_format", "passage_encoder", "compressor"])
def test_how_a_tree_was_made_keeps_nobody_from_reading_it(store: Store, field: str) -> None:
    one, two = samples.identity(), samples.identity(**{field: OTHERS[field]})
    store.check_identity(samples.put(store, 1, maker=one), two)
    store.check_identity(samples.put(store, 1, maker=two), one)


def test_how_many_chunks_were_read_at_once_does_not_matter(store: Store) -> None:
    one = samples.identity()
    strips = samples.identity(geometry={**one.geometry, "strip_chunks": 8})
    store.check_identity(samples.put(store, 1, maker=one), strips)
    store.check_identity(samples.put(store, 1, maker=strips), one)
    assert one.digest != strips.digest
    assert one.serves(one)
    assert one.serves(strips)
    assert strips.serves(one)
    assert not one.serves(samples.identity(slot_format="int8"))
    assert not strips.serves(samples.identity(dtype="other"))


def test_documents_of_two_identities_live_side_by_side(store: Store) -> None:
    one = samples.put(store, 1, source="/a.pdf")
    two = samples.put(store, 1, source="/b.pdf", maker=samples.identity(slot_format="int4"))
    assert store.identity(one.id).slot_format == "bfloat16"
    assert store.identity(two.id).slot_format == "int4"


def test_a_renamed_file_keeps_its_tree(store: Store) -> None:
    record = samples.put(store, 1)
    samples.put(store, 2, source="/new.pdf")
    moved = store.relocate(record.id, source="/new.pdf", mtime_ns=77, file_size=5)
    assert moved == dataclasses.replace(
        record, source="/new.pdf", path="/new.pdf", mtime_ns=77, file_size=5
    )
    assert store.documents() == [moved]
    assert store.check().clean


def test_failures_last_until_the_file_is_indexed(store: Store) -> None:
    source = samples.document(1).source
    store.record_failure(source, "needs a password")
    store.record_failure(source, "still needs a password")
    store.record_failure("/other", "empty")
    assert [(f.source, f.reason) for f in store.failures()] == [
        ("/other", "empty"),
        (source, "still needs a password"),
    ]
    samples.put(store, 1)
    assert [f.source for f in store.failures()] == ["/other"]
    store.clear_failure("/other")
    assert store.failures() == []
    assert store.check().clean
