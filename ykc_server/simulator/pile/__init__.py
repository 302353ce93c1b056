"""A pile with one or two guns as a state machine: bytes and the time in, bytes out.

It does what YKC V1.6 asks of a pile: logs in, verifies its prices, beats every 10 s per gun, reports every 15 s
while charging and every 5 min otherwise, starts and stops on command, bills by its own prices and repeats a record
until it is confirmed. `now` is the true time (aware) and never goes back; the pile's own clock may be off.

    pile.connected(now); pile.receive(data, now); pile.tick(now); pile.disconnected(now)    what happens to it
    pile.plug("01", now); pile.unplug("01", now); pile.press_stop("01", now)                what people do
    pile.take_output()  pile.next_tick(now)  pile.wants_close                               what its client does next
"""

from ykc_server.simulator.pile.obeying import SimulatedPile

__all__ = ["SimulatedPile"]
