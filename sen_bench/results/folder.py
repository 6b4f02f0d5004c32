"""The folder of result tables: where each table is, and a leaderboard that follows the runs."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from sen_bench.errors import ResultsError
from sen_bench.results.csv_tables import checked_contents, csv_bytes, locked, say, write_table
from sen_bench.results.leaderboard import ReferenceModel, aggregate
from sen_bench.results.rows import read_runs

if TYPE_CHECKING:
    import pandas as pd

StudyKind: TypeAlias = Literal["data", "orbit"]
"""What a study asks about: how much data, or how far from what was seen."""

_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class ResultsFolder:
    """A folder of result tables.

    Attributes:
        path: The folder; it need not exist yet.
    """

    path: Path

    @property
    def runs_csv(self) -> Path:
        """The table of runs: a row for each run and horizon."""
        return self.path / "runs.csv"

    @property
    def leaderboard_csv(self) -> Path:
        """The table of statistics over seeds."""
        return self.path / "leaderboard.csv"

    @property
    def curves_csv(self) -> Path:
        """The table of learning curves."""
        return self.path / "curves.csv"

    @property
    def references_csv(self) -> Path:
        """The table of what exact latents score without a model."""
        return self.path / "references.csv"

    @property
    def planning_csv(self) -> Path:
        """The table of how well agents reach goals."""
        return self.path / "planning.csv"

    @property
    def orbit_csv(self) -> Path:
        """The table of scores by how far transitions are from the slice trained on."""
        return self.path / "orbit.csv"

    def study_folder(self, kind: StudyKind) -> Path:
        """Where the studies of a kind are, with the tables of the runs behind them."""
        return self.path / "studies" / kind

    def study_tables(self, kind: StudyKind) -> list[Path]:
        """The tables of all studies of a kind, by name; none if there is no such study."""
        folder = ResultsFolder(self.study_folder(kind))
        beside = {
            folder.runs_csv,
            folder.leaderboard_csv,
            folder.curves_csv,
            folder.references_csv,
            folder.planning_csv,
            folder.orbit_csv,
        }
        return sorted(path for path in folder.path.glob("*.csv") if path not in beside)

    def write_leaderboard(self, reference_model: ReferenceModel) -> pd.DataFrame:
        """Writes the leaderboard of the runs that are in the table now.

        It warns if what it replaces was changed by something else than sen-bench.

        Args:
            reference_model: Names the symmetric embedding network of each task.

        Returns:
            What was written, from `aggregate`.

        Raises:
            ResultsError: The runs cannot be read or the leaderboard cannot be written.
        """
        # Read under the lock: of two processes, the one that writes last has also read last.
        with locked(self.leaderboard_csv):
            table = aggregate(read_runs(self.runs_csv), reference_model)
            _, remark = self._written_leaderboard()
            write_table(self.leaderboard_csv, table)
        say(remark and f"{remark}; it is written anew from the runs")
        return table

    def refresh_leaderboard(self, reference_model: ReferenceModel) -> pd.DataFrame:
        """Writes the leaderboard if what is there is not that of the runs.

        That is the case after a process was killed between writing the two tables. It is decided by what the
        file holds, not by when it was written: a copy, a checkout or a clock that is off changes the times.
        Nothing is locked or written where the leaderboard is right. In a folder that cannot be written one
        that is not right is left as it is, with a `SenBenchWarning`.

        Args:
            reference_model: Names the symmetric embedding network of each task.

        Returns:
            The leaderboard, of `aggregate`.

        Raises:
            ResultsError: The runs cannot be read or the leaderboard cannot be written.
        """
        table = aggregate(read_runs(self.runs_csv), reference_model)
        current, remark = self._written_leaderboard()
        if current == csv_bytes(table) and not remark:
            return table
        try:
            return self.write_leaderboard(reference_model)
        except ResultsError as error:
            cause = error.__cause__
            if not (isinstance(cause, OSError) and cause.errno in _READ_ONLY):
                raise
            found = remark or f"{self.leaderboard_csv} is not the leaderboard of the runs"
            say(f"{found}; it cannot be written anew ({cause.strerror}), and is not used")
            return table

    def _written_leaderboard(self) -> tuple[bytes | None, str]:
        """What the file of the leaderboard holds, None if there is none, and how it was changed since."""
        try:
            return checked_contents(self.leaderboard_csv)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            raise ResultsError(f"cannot read {self.leaderboard_csv}: {error.strerror or error}") from error
