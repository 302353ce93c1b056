"""Hypothesis strategies built from the registry of messages, so that a new table is tested without a new line."""

from typing import Any

from hypothesis import strategies as st

from ykc_server.protocol import BY_NAME, Message
from ykc_server.protocol.fields import Field, Uint


def raw_field(field: Field) -> st.SearchStrategy[Any]:
    """Any raw value that fits the field."""
    if isinstance(field, Uint):
        return st.integers(0, (1 << 8 * field.size) - 1)
    return st.binary(min_size=field.size, max_size=field.size)


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    """Any message of any table, with any sequence and no extra bytes."""
    cls = BY_NAME[draw(st.sampled_from(sorted(BY_NAME)))]
    raw = {name: draw(raw_field(field)) for name, field in cls.spec.fields.items()}
    return cls(**raw, sequence=draw(st.binary(min_size=2, max_size=2)))
