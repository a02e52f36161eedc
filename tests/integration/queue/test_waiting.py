"""What waits and what is in quarantine, counted in few words for an operator's eyes."""

from __future__ import annotations

from datetime import timedelta

from support.rows import NOON, arrange, make_generation, make_products, request

from backend.database.engine import Database
from backend.database.models import STANDBY
from backend.queue import IMPORT, SINGLE
from backend.queue.waiting import MOST_KINDS, OTHER, by_priority, quarantined_by_kind, since

LATER = NOON + timedelta(minutes=1)


def test_depth_and_age_are_counted_by_generation_and_priority(any_db: Database) -> None:
    make_generation(any_db)
    make_generation(any_db, name="g2", state=STANDBY)
    ids = make_products(any_db, 5)
    request(any_db, ids[:3])
    request(any_db, ids[3:], priority=SINGLE, now=LATER)
    arrange(any_db, ids[:1], embedded=1, indexed=1, due_at=None)  # done in the first generation
    with any_db.read() as session:
        assert by_priority(session, [1, 2]) == {
            (1, IMPORT): (2, NOON),
            (1, SINGLE): (2, LATER),
            (2, IMPORT): (3, NOON),
            (2, SINGLE): (2, LATER),
        }
        assert set(by_priority(session, [2])) == {(2, IMPORT), (2, SINGLE)}
        assert since(session, 1, ids[2:4]) == {ids[2]: (IMPORT, NOON), ids[3]: (SINGLE, LATER)}


def test_reasons_are_counted_by_their_code_and_there_are_not_many_of_them(
    any_db: Database,
) -> None:
    make_generation(any_db)
    ids = make_products(any_db, MOST_KINDS + 6)
    request(any_db, ids)
    reasons = ["no-image: a: b", "no-image: c", "bad", "bad: x", "bad: y", "waits: not quarantined"]
    reasons += [f"kind-{number:02}: it is said" for number in range(MOST_KINDS)]
    for id_, reason in zip(ids, reasons, strict=True):
        arrange(any_db, [id_], last_error=reason, due_at=None)
    arrange(any_db, ids[5:6], due_at=LATER)
    with any_db.read() as session:
        found = quarantined_by_kind(session, 1)
    assert (found["bad"], found["no-image"]) == (3, 2)
    assert found["kind-00"] == 1
    assert "waits" not in found
    assert len(found) == MOST_KINDS + 1
    assert found[OTHER] == 2
