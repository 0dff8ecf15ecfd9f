"""Which export comes next: one that was asked for, then one of a run's last checkpoint. A newer one of its kind replaces it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from agents.exporter.plan import Plan


@dataclass(slots=True)
class Queue:
    """Safe from any thread. The exporting thread waits in `next`."""

    closed: bool = False
    _waiting: dict[bool, Plan] = field(default_factory=dict)  # by whether nobody asked for it
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def waiting(self) -> Plan | None:
        """The plan that comes next."""
        with self._changed:
            return self._first()

    def put(self, plan: Plan) -> Plan | None:
        """Let a plan wait; returns the one of its kind that waited, and never comes."""
        with self._changed:
            replaced = self._waiting.get(plan.automatic)
            self._waiting[plan.automatic] = plan
            self._changed.notify()
            return replaced

    def next(self) -> Plan | None:
        """The plan that waits, once there is one; None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._waiting)
            plan = self._first()
            if self.closed or plan is None:
                return None
            return self._waiting.pop(plan.automatic)

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify()

    def _first(self) -> Plan | None:
        return self._waiting.get(False) or self._waiting.get(True)
