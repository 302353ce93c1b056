"""Hypothesis strategies built from the registry of messages, so that a new table is tested without a new line."""

from typing import Any

from hypothesis import strategies as st

from ykc_server.protocol import BY_KIND, BY_NAME, Message
from ykc_server.protocol.fields import Field, Tail, Uint


def raw_field(field: Field) -> st.SearchStrategy[Any]:
    """Any raw value that fits the field; lists with none to as many items as may be sent."""
    if isinstance(field, Tail):
        return st.integers(0, field.max_items).flatmap(
            lambda items: st.binary(min_size=items * field.item_size, max_size=items * field.item_size)
        )
    if isinstance(field, Uint):
        return st.integers(0, (1 << 8 * field.size) - 1)
    return st.binary(min_size=field.size, max_size=field.size)


@st.composite
def message_of(draw: st.DrawFn, cls: type[Message]) -> Message:
    """Any message of one table, with any sequence and no extra bytes."""
    raw = {name: draw(raw_field(field)) for name, field in cls.spec.fields.items()}
    return cls(**raw, sequence=draw(st.binary(min_size=2, max_size=2)))


def any_message() -> st.SearchStrategy[Message]:
    """Any message of any table."""
    return st.sampled_from(sorted(BY_NAME)).flatmap(lambda name: message_of(BY_NAME[name]))


def body_size(message: Message) -> int:
    """Return the length of a message's body without extra bytes."""
    tail = message.spec.tail
    return message.spec.body_size + (len(getattr(message, tail.name)) if tail else 0)


def room_for_extra(message: Message) -> int:
    """Return how many bytes can follow a message's body and still be told from it.

    A list without a count takes in whatever makes another item; a record that is 16 bytes longer is another table.
    """
    first, *variants = BY_KIND[message.spec.kind]
    if variants:
        return 15 if type(message) is first else 0
    tail = message.spec.tail
    room = 251 - body_size(message)
    return min(room, tail.item_size - 1) if tail and not tail.count else room


def least_body(message: Message) -> int:
    """Return how many bytes of a message's body must be there for it to be decoded at all."""
    tail = message.spec.tail
    return body_size(message) if tail and tail.count else BY_KIND[message.spec.kind][0].spec.body_size
