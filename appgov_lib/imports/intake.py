"""Records of one file on their way into its snapshot: held by bucket, written in portions, refusals counted."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from appgov_lib.extract.snapshot import MAX_REJECTED_LISTED, Rejected, Snapshot, SnapshotWriter, SourceState
from appgov_lib.imports.content import Measured
from appgov_lib.imports.reasons import Reason, Refusal

FLUSH = 48 << 20
"""Bytes of records held before they are written."""

MAX_REASONS = 50
"""Different sentences counted one by one for a file; beyond that only the fixed reasons are told apart."""


class Intake:
    """Collects the records of one file by bucket and writes them in portions; counts what is refused."""

    def __init__(self, writer: SnapshotWriter, name: str) -> None:
        """Start with nothing held."""
        self._writer, self._name = writer, name
        self._held: dict[str, list[bytes]] = {}
        self._size = 0
        self._spans: dict[str, tuple[str, str]] = {}
        self._rows: Counter[str] = Counter()
        self._rejected: list[Rejected] = []
        self._reasons: Counter[str] = Counter()

    def keep(self, bucket: str, line: bytes, at: str | None) -> None:
        """Take one record and its time as text that sorts (None: unknown)."""
        lines = self._held.get(bucket)
        if lines is None:
            lines = self._held[bucket] = []
        lines.append(line)
        if at is not None:
            span = self._spans.get(bucket)
            if span is None:
                self._spans[bucket] = (at, at)
            elif at < span[0]:
                self._spans[bucket] = (at, span[1])
            elif at > span[1]:
                self._spans[bucket] = (span[0], at)
        self._size += len(line)
        if self._size > FLUSH:
            self.flush()

    def refuse(self, number: int, refusal: Refusal) -> None:
        """Count one refusal, and list it while the list is not too long."""
        sentence = str(refusal)
        named = refusal.reason in (Reason.UNUSED_CATEGORY, Reason.OTHER_PRODUCT)
        counted = sentence if named and len(self._reasons) < MAX_REASONS else str(refusal.reason)
        self._reasons[sentence if sentence in self._reasons else counted] += refusal.rows
        if len(self._rejected) < MAX_REJECTED_LISTED:
            self._rejected.append(Rejected(self._name, number, sentence))

    def flush(self) -> None:
        """Write what is held."""
        for bucket, lines in self._held.items():
            if lines:
                self._rows[bucket] += self._writer.write(bucket, lines, origin=self._name)
        self._held.clear()
        self._size = 0

    def finish(self, now: datetime, known: Measured) -> Snapshot:
        """Write the rest and the manifest."""
        self.flush()
        refused = self._reasons.total()
        for bucket, rows in sorted(self._rows.items()):
            span = self._spans.get(bucket)
            self._writer.close_source(
                bucket,
                SourceState(
                    status="partial" if refused else "complete",
                    reason=f"{refused} records of the imported file were not usable." if refused else "",
                    rows=rows,
                    from_at=f"{span[0]}Z" if span else None,
                    to_at=f"{span[1]}Z" if span else None,
                ),
            )
        return self._writer.finish(
            now,
            rejected=self._rejected,
            rejected_rows=refused,
            details={
                "input": self._name,
                "sha256": known.sha256,
                "bytes": known.size,
                "reasons": dict(sorted(self._reasons.items())),
            },
        )
