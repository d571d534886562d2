"""What goes wrong on demand: rate limits, server errors, slow answers, gateways that hang up before they say hello.

A fault is armed for a number of times and then is spent. Nothing here happens by chance; a test that wants chance
brings its own generator.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class RestFault:
    """An answer that replaces the real one. The request has no effect unless `after` is set."""

    method: str
    path: re.Pattern[str]
    status: int
    times: int
    retry_after_s: float = 0.1
    is_global: bool = False
    held: asyncio.Event | None = None
    """The answer, whatever it is, is not given before this is set."""
    after: bool = False
    """Carry the request out first and then lose the answer, as a gateway time-out does."""
    hits: int = 0


class Faults:
    def __init__(self) -> None:
        self._rest: list[RestFault] = []
        self._cuts_before_hello = 0
        self._refusals = 0

    def rest(
        self,
        status: int,
        *,
        method: str = ".*",
        path: str = ".*",
        times: int = 1,
        retry_after_s: float = 0.1,
        is_global: bool = False,
        held: asyncio.Event | None = None,
        after: bool = False,
    ) -> RestFault:
        """Answer the next `times` requests whose method and path (after ``/api/v10``) match with `status`.

        Status 0 answers truthfully, but only once `held` is set.
        """
        fault = RestFault(
            method=method,
            path=re.compile(path),
            status=status,
            times=times,
            retry_after_s=retry_after_s,
            is_global=is_global,
            held=held,
            after=after,
        )
        self._rest.append(fault)
        return fault

    def cut_gateway_before_hello(self, times: int = 1) -> None:
        """Hang up on the next `times` gateway connections before they get a HELLO."""
        self._cuts_before_hello = times

    def refuse_gateway(self, times: int = 1) -> None:
        """Answer the next `times` gateway connections with 503 instead of a websocket."""
        self._refusals = times

    def clear(self) -> None:
        self._rest.clear()
        self._cuts_before_hello = self._refusals = 0

    def take_rest(self, method: str, path: str) -> RestFault | None:
        """The armed fault that this request meets, spent by one."""
        for fault in self._rest:
            if re.fullmatch(fault.method, method, re.IGNORECASE) and fault.path.search(path):
                fault.hits += 1
                if fault.hits >= fault.times:
                    self._rest.remove(fault)
                return fault
        return None

    def take_cut_before_hello(self) -> bool:
        taken = self._cuts_before_hello > 0
        self._cuts_before_hello -= taken
        return taken

    def take_refusal(self) -> bool:
        taken = self._refusals > 0
        self._refusals -= taken
        return taken
