"""Why something was not heard, in words: the session's counters that stand for a loss."""

from __future__ import annotations

from collections.abc import Mapping

from bot.texts import Texts


def losses(counters: Mapping[str, int], texts: Texts) -> list[str]:
    """A line for every reason why something was not heard, with how often; the reasons are the catalogue's."""
    kinds = (("LOSS", texts.LOSSES), ("LOSS_WINDOWS", texts.LOSSES_WINDOWS))
    return [
        texts(key, why=reasons[name], n=value)
        for key, reasons in kinds
        for name, value in counters.items()
        if value and name in reasons
    ]
