"""The column `text` of a Parquet file, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from agents.trainer.data.corpus import BadData
from agents.trainer.data.files import BLOCK, File

COLUMN = "text"
ROWS = 64
"""Rows that are decoded at once."""


def texts(file: File) -> Iterator[str]:
    """Every row's text. Raises BadData where the column is missing, no text, or null in some row."""
    try:
        with pq.ParquetFile(file.path, buffer_size=BLOCK, pre_buffer=False) as opened:
            _must_have_text(opened.schema_arrow, file.name)
            row = 0
            for batch in opened.iter_batches(ROWS, columns=[COLUMN], use_threads=False):
                for text in batch.column(0).to_pylist():
                    row += 1
                    if text is None:
                        raise BadData(f"{file.name} row {row}: its `{COLUMN}` is null")
                    yield text
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file.name} is no Parquet file that can be read: {error}") from error


def size_of_text(file: File) -> int:
    """Bytes of the column when it is not compressed, as the file says. Raises BadData."""
    try:
        with pq.ParquetFile(file.path) as opened:
            _must_have_text(opened.schema_arrow, file.name)
            groups = [opened.metadata.row_group(group) for group in range(opened.metadata.num_row_groups)]
            columns = (group.column(index) for group in groups for index in range(group.num_columns))
            return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == COLUMN)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file.name} is no Parquet file that can be read: {error}") from error


def _must_have_text(schema: pa.Schema, name: str) -> None:
    if COLUMN not in schema.names:
        raise BadData(f"{name} has no column `{COLUMN}`, only {', '.join(schema.names[:20])}")
    kind = schema.field(COLUMN).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise BadData(f"{name}: its column `{COLUMN}` is of type {kind}: want string")
