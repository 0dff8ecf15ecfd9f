"""The column `text` of a Parquet file, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from agents.trainer.data.corpus import BadData
from agents.trainer.data.files import BLOCK, File

COLUMN = "text"
ROWS = 4
"""Rows that are decoded at once: a file of a kilobyte may say a row of megabytes as often as it likes."""
ROW_LIMIT = 64 << 20
"""Bytes of one row's text."""


def texts(file: File) -> Iterator[str]:
    """Every row's text. Raises BadData where the column is missing, no text, or null or over ROW_LIMIT in some row."""
    try:
        with pq.ParquetFile(file.path, buffer_size=BLOCK, pre_buffer=False) as opened:
            _must_have_text(opened.schema_arrow, file.name)
            row = 0
            for batch in opened.iter_batches(ROWS, columns=[COLUMN], use_threads=False):
                for scalar in batch.column(0):
                    row += 1
                    yield _text_of(scalar, f"{file.name} row {row}")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file.name} is no Parquet file that can be read: {error}") from error


def _text_of(scalar: pa.StringScalar, where: str) -> str:
    stored = scalar.as_buffer()
    if stored is None:
        raise BadData(f"{where}: its `{COLUMN}` is null")
    if stored.size > ROW_LIMIT:
        raise BadData(f"{where} is over {ROW_LIMIT >> 20} MiB")
    text: str = stored.to_pybytes().decode()
    return text


def size_of_text(file: File) -> int:
    """Bytes of the column when it is not compressed, as the file says; what rows share is counted once. Raises BadData."""
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
    if schema.names.count(COLUMN) > 1:
        raise BadData(f"{name} has {schema.names.count(COLUMN)} columns `{COLUMN}`: want one")
    kind = schema.field(COLUMN).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise BadData(f"{name}: its column `{COLUMN}` is of type {kind}: want string")
