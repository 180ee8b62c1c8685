"""Claims are found by id and by topic, and a wrong name is answered with near ones."""

import pytest

from crossent.claims import all_claims, find, of_topic, topics
from crossent.errors import InputError


@pytest.mark.parametrize("written", ["S24", "s24", "24", " s024 "])
def test_an_id_may_be_written_in_several_ways(written):
    assert find(written).id == "S24"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("S90", "Near to it: S87, S86, S85. They run from S1 to S87."),
        ("S0", "Near to it: S1, S2, S3."),
        ("240", "Near to it: S87"),
        ("softmin", "The word is in S43."),
        ("Poisson", "The word is in S24."),
        ("temperature", "The word is in S58, S59, S60."),
        ("xyzzy", "Ids run from S1 to S87; topics are likelihood,"),
        ("", "Ids run from S1 to S87"),
        ("S", "Ids run from S1 to S87"),
    ],
)
def test_a_wrong_id_is_answered_with_near_ones(written, words):
    with pytest.raises(InputError) as caught:
        find(written)

    assert f"there is no claim {written!r}" in str(caught.value)
    assert words in str(caught.value)


def test_topics_together_hold_every_claim_once():
    members = [claim.id for topic in topics() for claim in of_topic(topic)]

    assert sorted(members) == sorted(claim.id for claim in all_claims())
    assert len(set(topics())) == len(topics())


def test_a_wrong_topic_is_answered_with_all_topics():
    with pytest.raises(InputError, match="likelihood, independence, data"):
        of_topic("gradent")
