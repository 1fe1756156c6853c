"""When AWS' resources change their state by themselves.

A change has a due time on the wall clock. Nothing runs in the background: every call carries out first what has become
due. So "a day later" needs no waiting (`shift`), and no state changes between a call and its answer.
"""

import heapq
import itertools
import time

# Seconds. Long enough for a test to see each state, short enough to wait for. 0 leaves a state out: the answer to the call
# that would begin it shows what comes after it.
TIMING = {"creating": 1.0, "backingUp": 0.3, "deleting": 1.0, "snapshot": 0.5}


class Agenda:
    """The changes to come."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.timing = dict(TIMING)
        self._entries = []
        # Of two changes that are due at once the older one comes first, and a heap compares nothing else.
        self._numbers = itertools.count()

    def after(self, state, since=None):
        """When something ends that has been in `state` since then: since now, if it is not said."""
        return (time.time() if since is None else since) + self.timing[state]

    def plan(self, due, resource, change):
        """Has `change(due)` called at that time, unless the resource is forgotten before."""
        heapq.heappush(self._entries, (due, next(self._numbers), resource, change))

    def forget(self, resource):
        """Drops what is planned for a resource: something else happens to it now."""
        self._entries = [entry for entry in self._entries if entry[2] is not resource]
        heapq.heapify(self._entries)

    def advance(self):
        """Carries out what is due, in its order; a change may plan others, which may be due as well."""
        while self._entries and self._entries[0][0] <= time.time():
            due, _, _, change = heapq.heappop(self._entries)
            change(due)

    def shift(self, seconds):
        """Brings every change nearer."""
        self._entries = [(due - seconds, number, resource, change) for due, number, resource, change in self._entries]
        heapq.heapify(self._entries)


AGENDA = Agenda()
