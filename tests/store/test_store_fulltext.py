"""Full-text search: quoting, choosing documents, ranks, and forgetting."""

import dataclasses

import pytest
import store_samples as samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharedcli.errors import UsageError
from sharedcli.store.fulltext import quote_term
from sharedcli.store.records import DocumentRecord, Passage
from sharedcli.store.store import Store


def put_text(store: Store, source: str, *texts: str) -> DocumentRecord:
    whole = "".join(texts)
    doc = dataclasses.replace(
        samples.document(source=source), text=whole, pages=(), sha256=source.ljust(64, "0")
    )
    ends = [sum(map(len, texts[: i + 1])) for i in range(len(texts))]
    found = [Passage(i, 1, end - len(texts[i]), end) for i, end in enumerate(ends)]
    with store.writer(doc, samples.identity(), file_size=1, mtime_ns=1) as writer:
        writer.put_passages(found)
        return writer.commit()


def test_the_best_passage_comes_first(store: Store) -> None:
    one = put_text(store, "/a", "cats and dogs and birds and fish and trees ", "cats purr ")
    put_text(store, "/b", "nothing of the kind ")
    hits = store.search_text('"cats"')
    assert [(hit.doc_id, hit.ordinal) for hit in hits] == [(one.id, 1), (one.id, 0)]
    assert hits[0].bm25 > hits[1].bm25 > 0
    assert len(store.search_text('"cats"', limit=1)) == 1


def test_words_match_by_stem_and_without_accents(store: Store) -> None:
    put_text(store, "/a", "The naïve engineers were running tests")
    for word in ("naive", "engineer", "run", "TEST"):
        assert store.search_text(quote_term(word)), word


def test_only_chosen_documents_are_searched(store: Store) -> None:
    ids = [put_text(store, f"/{i}", f"common words of file {i}").id for i in range(5)]
    found = store.search_text('"common"', doc_ids=ids[1:3])
    assert {hit.doc_id for hit in found} == set(ids[1:3])
    assert store.search_text('"common"', doc_ids=[]) == []
    assert len(store.search_text('"common"')) == 5
    many = [*ids, *(f"{i:012x}" for i in range(50_000))]
    assert len(store.search_text('"common"', doc_ids=many)) == 5


def test_matching_passages_are_counted_per_document(store: Store) -> None:
    one = put_text(store, "/a", "river and stone ", "rivers meet ", "stone alone ")
    two = put_text(store, "/b", "the river ends here ")
    put_text(store, "/c", "nothing of it ")
    assert store.count_text('"river"') == {one.id: 2, two.id: 1}
    assert store.count_text('"absent"') == {}
    store.remove([one.id])
    assert store.count_text('"river"') == {two.id: 1}
    with pytest.raises(UsageError, match="full-text expression"):
        store.count_text('"open')


def test_forgotten_passages_are_found_no_more(store: Store) -> None:
    gone = put_text(store, "/a", "quicksilver ", "lead ")
    kept = put_text(store, "/b", "quicksilver and tin ")
    store.remove([gone.id])
    assert [hit.doc_id for hit in store.search_text('"quicksilver"')] == [kept.id]
    assert store.search_text('"lead"') == []


@pytest.mark.parametrize("match", ["AND", '"open', "text:", "nosuch:word", "(a", "", "a ^", "*"])
def test_a_wrong_expression_is_a_usage_error(store: Store, match: str) -> None:
    put_text(store, "/a", "text")
    with pytest.raises(UsageError, match="full-text expression"):
        store.search_text(match)


@given(st.text(max_size=40) | st.text('"*^():-+ANDORNEAR{}\0\ud800 a', max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_quoted_text_is_never_syntax(store: Store, text: str) -> None:
    store.search_text(quote_term(text))


def test_quoted_operators_are_words(store: Store) -> None:
    put_text(store, "/a", "this AND that")
    assert store.search_text(quote_term("AND"))
    assert not store.search_text(quote_term("this OR that"))
    assert store.search_text(quote_term('"this" and'))
