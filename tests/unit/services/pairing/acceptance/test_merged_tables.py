"""Parquet tables: schema derived from the record, round trip, whole-run merge."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.pairing.acceptance.merged_tables import ROW_GROUP, failed_row, merge_run, write_rows
from shared.core.records import write_jsonl
from shared.schemas import layout
from shared.schemas.pairs import PAIRS_SCHEMA_VERSION, PairRow, from_table, pairs_schema, to_table

numbers = st.none() | st.floats(-1e6, 1e6)
rows = st.builds(
    PairRow,
    title=st.text(min_size=1, max_size=20),
    shot=st.none() | st.integers(0, 10**6),
    start=numbers,
    track=st.none() | st.sampled_from(["orig", "control", "es"]),
    fit_ratio=numbers,
    engines=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    accepted=st.booleans(),
    reasons=st.lists(st.sampled_from(["too_short", "overflow"]), max_size=2),
    detail=st.none() | st.text(max_size=30),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, max_size=5))
def test_rows_survive_parquet(tmp_path_factory: pytest.TempPathFactory, made: list[PairRow]) -> None:
    path = tmp_path_factory.mktemp("table") / "pairs.parquet"
    assert write_rows(made, path) == len(made)
    assert list(from_table(pq.read_table(path))) == made


def test_the_schema_has_a_column_a_field_with_version_and_units() -> None:
    schema = pairs_schema()
    assert schema.names == list(PairRow.model_fields)
    assert schema.metadata[b"schema_version"] == str(PAIRS_SCHEMA_VERSION).encode()
    assert schema.field("title").type == pa.string() and not schema.field("title").nullable
    assert schema.field("shot").type == pa.int64() and schema.field("shot").nullable
    assert schema.field("engines").type == pa.map_(pa.string(), pa.string())
    assert b"LU" not in (schema.field("overflow_ms").metadata[b"description"] or b"")
    assert to_table([]).schema.equals(schema)


def test_a_run_is_merged_in_order_with_its_failures(tmp_path: Path) -> None:
    good = [[PairRow(title=name, shot=n, accepted=True) for n in range(3)] for name in "ab"]
    bad = [[PairRow(title=name, shot=9, reason="overflow", reasons=["overflow"])] for name in "ab"]
    accepted = [write_jsonl(tmp_path / f"p{i}", part) for i, part in enumerate(good)]
    rejected = [write_jsonl(tmp_path / f"r{i}", part) for i, part in enumerate(bad)]
    error = {"code": "no_audio", "stage": "ingest", "message": "There is no sound."}
    failures = [failed_row("c", error), failed_row("a", error, track="fr")]
    counts = merge_run(accepted, rejected, tmp_path / "pairs.parquet", tmp_path / "rejects.parquet", failures)
    assert counts == (6, 4)
    assert list(from_table(pq.read_table(tmp_path / "pairs.parquet"))) == good[0] + good[1]
    left = list(from_table(pq.read_table(tmp_path / "rejects.parquet")))
    assert [row.reason for row in left] == ["overflow", "overflow", "title_failed", "track_failed"]
    assert left[2].detail == "ingest: no_audio: There is no sound."
    assert (left[3].title, left[3].track) == ("a", "fr")


def test_an_empty_run_still_has_tables(tmp_path: Path) -> None:
    assert merge_run([], [], tmp_path / "p.parquet", tmp_path / "r.parquet") == (0, 0)
    assert pq.read_schema(tmp_path / "p.parquet").equals(pairs_schema())


def test_long_runs_are_written_in_row_groups(tmp_path: Path) -> None:
    count = 2 * ROW_GROUP + 1
    write_rows((PairRow(title="t", shot=n) for n in range(count)), tmp_path / "p.parquet")
    file = pq.ParquetFile(tmp_path / "p.parquet")
    assert (file.num_row_groups, file.metadata.num_rows) == (3, count)


def test_clips_are_named_as_lvu_m_names_them() -> None:
    assert layout.clip_path("1445350", 26, "orig", "en") == "1445350/shots/1445350_26_en.mp4"
    assert layout.clip_path("1445350", 26, "ja", "en") == "1445350/shots/1445350_26_ja.mp4"
    assert layout.clip_path("a_b", 3, "control", "en") == "a_b/shots/a_b_3_control.mp4"


def test_a_revoicing_does_not_collide_with_the_original() -> None:
    names = {layout.clip_path("t", 1, track, "en") for track in ("orig", "control", "en", "es")}
    assert len(names) == 4 and "t/shots/t_1_en-revoiced.mp4" in names
    texts = {layout.subtitle_path("t", track, "en", "srt") for track in ("orig", "en", "es")}
    assert texts == {"t/subtitles/en.srt", "t/subtitles/en-revoiced.srt", "t/subtitles/es.srt"}
