"""The order of jobs: as accepted, whatever was taken out in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qubitd.server.queue import JobQueue, Rank


def queue_of(*numbers: int) -> JobQueue:
    queue = JobQueue()
    for number in numbers:
        queue.add(f"job-{number}", Rank(accepted=number))
    return queue


def test_an_empty_queue_has_no_next() -> None:
    assert JobQueue().next() is None


def test_the_job_that_was_accepted_first_is_next_whenever_it_came() -> None:
    queue = queue_of(3, 1, 2)
    assert queue.next() == "job-1"
    assert [queue.position(f"job-{n}") for n in (1, 2, 3)] == [0, 1, 2]


def test_looking_at_the_next_leaves_it_in_place() -> None:
    queue = queue_of(1)
    assert (queue.next(), queue.next(), len(queue)) == ("job-1", "job-1", 1)


def test_a_job_added_twice_stands_once() -> None:
    queue = queue_of(1, 1)
    assert len(queue) == 1
    assert queue.remove("job-1")
    assert not queue.remove("job-1")
    assert "job-1" not in queue
    assert queue.position("job-1") is None


def test_a_job_put_back_goes_before_those_accepted_later() -> None:
    queue = queue_of(2, 3)
    queue.add("job-1", Rank(accepted=1))
    assert queue.next() == "job-1"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_any_walk_leaves_the_order_of_acceptance(steps: list[tuple[bool, int]]) -> None:
    queue, model = JobQueue(), set[int]()
    for adds, number in steps:
        if adds:
            queue.add(f"job-{number}", Rank(accepted=number))
            model.add(number)
        else:
            assert queue.remove(f"job-{number}") == (number in model)
            model.discard(number)
        assert len(queue) == len(model)
        assert queue.next() == (f"job-{min(model)}" if model else None)
        assert [queue.position(f"job-{n}") for n in sorted(model)] == list(range(len(model)))
