"""A sample of `make oracle`."""

from tests.pipeline.target import compare


def test_ten_thousand_charges_equal_the_oracle():
    seen, wrong = compare(20261128, 10_000)
    assert wrong == []
    assert min(seen.values()) > 700, f"the seed no longer reaches every step: {seen}"
