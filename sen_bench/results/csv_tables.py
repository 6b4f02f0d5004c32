"""CSV tables of checked rows: read strictly, written as a whole, by one process at a time.

A table's columns are the fields of a pydantic model, in their order. `pandas.read_csv` without options reads
the values back as what they are; an empty field is a number that is undefined or a text that is missing.
Beside each table is its digest; what differs from it is read too, with a warning.
"""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from filelock import FileLock, Timeout
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from sen_bench.errors import ResultsError, SenBenchWarning
from sen_bench.results.table_digests import (
    digest_file,
    read_with_remark,
    sweep_table_drafts,
    write_with_digest,
)

if TYPE_CHECKING:
    import pandas as pd

LOCK_SECONDS: Final = 60.0
"""How long to wait for another process that is writing the same table; a write takes milliseconds."""

RowT = TypeVar("RowT", bound=BaseModel)

# What `pandas.read_csv` takes for a missing value by default, except what `float` reads as a number.
_MISSING_TO_PANDAS = frozenset(
    {"#N/A", "#NA", "#N/A N/A", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null"}
)


# How formulas begin in spreadsheets, also in full width.
_FORMULA: Final = (*"=+-@\t\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# What an empty field is read as: a number that is undefined, or a text that is missing.
_EMPTY: Final = "nan"


def _text(value: str) -> str:
    """Refuses text that `pandas.read_csv` without options would read as anything other than this text.

    What spreadsheets take for a formula, and may run, is refused too.
    """
    if value.startswith(_FORMULA):
        raise ValueError(
            f"{value!r} would be a formula in a spreadsheet: text must not begin with = + - @ or a tab"
        )
    plain = value.isprintable() and value == value.strip() and value.lower() not in {"", "true", "false"}
    if not plain or value in _MISSING_TO_PANDAS or _is_number(value):
        raise ValueError(f"{value!r} would not come back from a CSV as the text it is")
    return value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _digest(value: str) -> str:
    """Adds the kind of digest, because bare hexadecimal such as 12e4 would be read as a number."""
    return value if ":" in value else f"sha256:{value}"


Text = Annotated[str, AfterValidator(_text)]
Digest = Annotated[str, AfterValidator(_digest), AfterValidator(_text)]
LARGEST: Final = 1e100
"""The largest number of a table: float32 gives none that is larger, and squares of these can be summed."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Amount = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


def _ratio(value: float) -> float:
    """Refuses an infinite or negative ratio; NaN, an empty field, stands for one that is undefined."""
    if value < 0 or value > LARGEST:
        raise ValueError(f"must be a number from 0 to {LARGEST:g}, or empty where it is undefined")
    return value


Ratio = Annotated[float, AfterValidator(_ratio)]


def _share_if_any(value: float) -> float:
    """Refuses what is not a share; NaN, an empty field, stands for one that is undefined."""
    if not (0 <= value <= 1 or math.isnan(value)):
        raise ValueError("must be a number in [0, 1], or empty where it is undefined")
    return value


ShareIfAny = Annotated[float, AfterValidator(_share_if_any)]


def empty_is_none(value: object) -> object:
    """Reads an empty field as None."""
    return None if value == _EMPTY else value


DigestIfAny = Annotated[Digest | None, BeforeValidator(empty_is_none)]
CountIfAny = Annotated[Count | None, BeforeValidator(empty_is_none)]
TextIfAny = Annotated[Text | None, BeforeValidator(empty_is_none)]


def frame_of(rows: Iterable[BaseModel], kind: type[BaseModel]) -> pd.DataFrame:
    """The rows of one kind as `pandas.read_csv` would return them."""
    import pandas as pd  # noqa: PLC0415 — tables are listed without it

    records = [{name: _or_nan(value) for name, value in row.model_dump().items()} for row in rows]
    return pd.DataFrame(records, columns=list(kind.model_fields))


def _or_nan(value: object) -> object:
    """What pandas reads an empty field as, instead of None."""
    return math.nan if value is None else value


def read_rows(path: Path, kind: type[RowT], noun: str) -> list[RowT]:
    """Reads a table strictly: anything else is refused, with the first line that is wrong.

    Only the last columns may be missing, where the fields of a row have defaults: a table that was written
    before there were such columns is read as if they held these. A table that is not as it was written, by
    its digest, is read with a `SenBenchWarning`.

    Args:
        path: The table.
        kind: What a row is.
        noun: What rows are called in messages: "runs".

    Raises:
        ResultsError: It is not such a table, or cannot be read.
    """
    try:
        contents, remark = checked_contents(path)
        file = io.StringIO(contents.decode("utf-8-sig"), newline="")
        rows = list(_rows(path, csv.DictReader(file, strict=True), kind, noun))
    except (csv.Error, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is not a CSV: {error}; move it aside") from error
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror or error}") from error
    say(remark and f"{remark}; it is read as it is. Remove {digest_file(path).name} if it is right")
    return rows


def _rows(path: Path, reader: csv.DictReader[str], kind: type[RowT], noun: str) -> Iterator[RowT]:
    """The rows of a table, checked.

    Raises:
        ResultsError: Its columns, or the fields of a row, are others.
    """
    columns = tuple(kind.model_fields)
    header = tuple(reader.fieldnames or ())
    later = columns[len(header) :]
    if header != columns[: len(header)] or any(kind.model_fields[name].is_required() for name in later):
        strange = next((name for name in header if name not in columns), None)
        missing = next((name for name in columns if name not in header), None)
        why = f"column {strange!r} is unknown" if strange else f"column {missing!r} is missing"
        why = why if strange or missing else "columns are in another order"
        raise ResultsError(f"{path} is not a table of {noun} of this version: {why}; move it aside")
    where = f"{path} is not a table of {noun}"
    for cells in reader:
        yield _row(f"{where}: line {reader.line_num}", kind, cells)


def checked_contents(path: Path) -> tuple[bytes, str]:
    """The contents of a table, and in a line how they differ from what was written; empty if they do not.

    Raises:
        OSError: It cannot be read.
    """
    contents, remark = read_with_remark(path)
    if remark:
        # A process may be between the table and its digest. Where no lock can be had, nobody writes either.
        with suppress(ResultsError), locked(path):
            contents, remark = read_with_remark(path)
    return contents, remark


def say(remark: str) -> None:
    """Warns of what a person should know about a table, if there is anything."""
    if remark:
        warnings.warn(remark, SenBenchWarning, stacklevel=3)


def _row(where: str, kind: type[RowT], cells: dict[str, Any]) -> RowT:
    if None in cells or None in cells.values():
        count = sum(name is not None for name in cells)
        raise ResultsError(f"{where} does not have {count} fields; move it aside")
    try:
        return kind.model_validate({name: cell or _EMPTY for name, cell in cells.items()})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ResultsError(f"{where}, column {first['loc'][0]!r}: {message}; move it aside") from error


def values(row: BaseModel, names: Sequence[str]) -> tuple[Any, ...]:
    """Some fields of a row."""
    return tuple(getattr(row, name) for name in names)


def merge_rows(
    path: Path,
    kind: type[RowT],
    noun: str,
    rows: Iterable[RowT],
    *,
    key: Sequence[str],
    order: Sequence[str],
    also: Iterable[tuple[Any, ...]] = (),
) -> None:
    """Adds rows to a table and removes those with the same keys.

    Safe with many processes: each holds a lock beside the table (`<name>.lock`) while it reads, adds and
    replaces the file as a whole, with its digest (`<name>.sha256`). A process that is killed leaves the table
    as it was, or as it was to become.

    Args:
        path: The table; it and its folder are made where missing.
        kind: What a row is.
        noun: What rows are called in messages.
        rows: What to add.
        key: The fields by which a row is known.
        order: The fields that rows are sorted by.
        also: Further keys, whose rows are removed too.

    Raises:
        ResultsError: The file there is not such a table (it is left alone), cannot be written, or stays
            locked.
    """
    new = list(rows)
    keys = {*also, *(values(row, key) for row in new)}
    with locked(path):
        old = read_rows(path, kind, noun) if path.exists() else []
        kept = [row for row in old if values(row, key) not in keys]
        ordered = sorted([*kept, *new], key=lambda row: values(row, order))
        write_table(path, frame_of(ordered, kind))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes the folder of a table and holds the lock beside it, `<name>.lock`; a thread may nest it.

    Raises:
        ResultsError: It stays locked, or the system refuses to write there.
    """
    try:
        path = Path(os.path.realpath(path))  # paths with and without links must meet at one lock
        path.parent.mkdir(parents=True, exist_ok=True)
        # A singleton, so that whoever holds the lock in this process may take it again.
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_SECONDS, is_singleton=True):
            sweep_table_drafts(path)
            yield
    except Timeout as error:
        raise ResultsError(
            f"{path} has been locked by another process for {LOCK_SECONDS:.0f} s; try again when it has ended"
        ) from error
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Replaces a table as a whole, with its digest; a process that is killed meanwhile leaves it as it was.

    The caller holds the lock of the table.

    Raises:
        OSError: It cannot be written.
    """
    write_with_digest(path, csv_bytes(table))


def csv_bytes(table: pd.DataFrame) -> bytes:
    """The contents of a table's file."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()
