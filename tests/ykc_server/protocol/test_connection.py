from ykc_server.protocol import Connection, decode
from ykc_server.protocol.messages import Heartbeat, HeartbeatAck, RemoteStop

BEAT = Heartbeat.make(pile_no="32010600213533", gun_no="01", gun_status=0)


def test_sequence_counts_low_byte_first_and_starts_over():
    connection = Connection()
    sequences = [connection.next_sequence() for _ in range(0x10001)]
    assert sequences[:2] == [b"\0\0", b"\1\0"]
    assert sequences[0x100] == b"\0\1"
    assert sequences[0xFFFF:] == [b"\xff\xff", b"\0\0"]


def test_two_ends_talk():
    pile, platform = Connection(), Connection()
    pile.next_sequence()
    [frame] = platform.feed(pile.send(BEAT))
    beat = decode(frame)
    answer = platform.answer(HeartbeatAck(pile_no=beat.pile_no, gun_no=beat.gun_no, response=0), beat)
    [frame] = pile.feed(answer)
    assert decode(frame).sequence == beat.sequence == b"\1\0"


def test_a_peer_that_insists_gets_its_crc_order():
    platform = Connection(crc_swapped=True)
    peer = Connection()
    stop = RemoteStop.make(pile_no="32010600213533", gun_no="01")
    assert peer.feed(platform.send(stop) + platform.answer(stop, BEAT)) != []
    assert peer.buffer.swapped_crc == 2
