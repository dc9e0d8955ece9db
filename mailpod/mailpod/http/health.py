"""What a pod says of itself. Readiness is about this pod alone: with the bucket away it stays ready and says 451."""

from __future__ import annotations

from mailpod import logs, metrics


class Health:
    """The pod's state, kept by pod.py, read by /healthz and /readyz."""

    def __init__(self) -> None:
        self.listeners_wanted: set[str] = set()
        self.listeners_open: set[str] = set()
        self.has_keys = False
        self.draining = False
        self.bucket_up: bool | None = None

    def bucket_seen(self, up: bool, error: str) -> None:
        """What the bucket's check found; `error` is its kind."""
        if self.bucket_up is not up:
            logs.event("bucket.up" if up else "bucket.down", level="info" if up else "error", error=error)
        self.bucket_up = up
        metrics.BUCKET_UP.set(up)

    def faults(self) -> list[str]:
        """Why no new connection should come here; empty when ready."""
        faults = [f"listener {name} is not open" for name in sorted(self.listeners_wanted - self.listeners_open)]
        if not self.has_keys:
            faults.append("no directory key is configured")
        if self.draining:
            faults.append("draining")
        return faults

    def report(self) -> str:
        """/healthz?verbose: for people, a line a fact."""
        bucket = {None: "not checked yet", True: "up", False: "down"}[self.bucket_up]
        lines = [f"{name}: open" for name in sorted(self.listeners_open)]
        return "\n".join([*lines, *self.faults(), f"bucket: {bucket}", ""])
