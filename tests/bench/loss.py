"""Which packets are lost. Seeded; drawn as the distance to the next loss, not packet by packet."""

import math
import random


class Losses:
    """One link that loses each packet with the same probability, whatever happened before."""

    __slots__ = ("_log_kept", "_random", "_until")

    def __init__(self, probability: float, source: random.Random) -> None:
        """``probability`` of each packet, 0 to less than 1."""
        self._random = source
        self._log_kept = math.log1p(-probability)
        self._until = self._distance()  # packets that come through before the next loss

    def _distance(self) -> float:
        if not self._log_kept:
            return math.inf
        return int(math.log(1.0 - self._random.random()) / self._log_kept)

    def of(self, packets: int) -> int:
        """A bitmap of those that are lost, of so many packets."""
        if self._until >= packets:
            self._until -= packets
            return 0
        lost = 0
        while self._until < packets:
            lost |= 1 << int(self._until)
            self._until += 1 + self._distance()
        self._until -= packets
        return lost


def least_sent(clients: int, probability: float) -> float:
    """How often a block must be sent, on average, until each of so many clients has it.

    No protocol that sends lost blocks again can do with less, when the clients lose independently
    of each other: the number is the mean of the largest of as many geometric ones.
    """
    expected, sent = 0.0, 0
    while True:
        lost_always = probability**sent  # by one client
        if lost_always >= 1:
            somebody_lacks_it = 1.0
        else:
            somebody_lacks_it = -math.expm1(clients * math.log1p(-lost_always))
        if somebody_lacks_it < 1e-12:
            return expected
        expected += somebody_lacks_it
        sent += 1
