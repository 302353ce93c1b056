"""docs/worked-examples.md against the program and the oracle: three ways to the same fen."""

import json
import re
from pathlib import Path

import pytest

from apps.orders.billing import bill_session
from tests import oracle

TEXT = Path(__file__).parents[3].joinpath("docs", "worked-examples.md").read_text(encoding="utf-8")
EXAMPLES = {
    title: [json.loads(block) for block in re.findall(r"```json\n(.*?)```", body, re.DOTALL)]
    for title, body in re.findall(r"^## (\d+\. [^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}


def test_there_are_twenty_examples_each_with_in_and_out():
    assert [title.split(".")[0] for title in EXAMPLES] == [str(number) for number in range(1, 21)]
    assert {len(blocks) for blocks in EXAMPLES.values()} == {2}


@pytest.mark.parametrize("title", EXAMPLES)
def test_worked_by_hand_by_program_and_by_oracle(title):
    session, by_hand = EXAMPLES[title]
    bill = bill_session(session)
    del bill["explanation"]
    assert bill == by_hand
    assert oracle.bill(session) == by_hand
