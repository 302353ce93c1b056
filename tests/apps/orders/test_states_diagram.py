from pathlib import Path

from apps.orders.management.commands.order_states import diagram

PAGE = Path(__file__).parents[3] / "docs" / "flows" / "charging.md"


def test_the_documented_moves_are_those_of_the_code():
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text()
