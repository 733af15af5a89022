"""Who gets the rack: the classes in their order, shares that even out, and nobody who waits for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from qubitd.server.scheduling.forecast import places
from qubitd.server.scheduling.lanes import lane_of
from qubitd.server.scheduling.scheduler import BACKGROUND_AGE, NORMAL_AGE, Scheduler
from qubitd.server.scheduling.shares import HALF_LIFE, Shares
from qubitd.server.scheduling.waiting import QueueClass, Slot, Waiting, Window
from qubitd.wire.slots import SlotKind

CLASSES = st.sampled_from(QueueClass)


def job(number: int, **fields: object) -> Waiting:
    values: dict[str, object] = {"project": "a", "estimate": 1.0, "since": float(number), **fields}
    return Waiting(job_id=f"job-{number}", accepted=number, **values)  # type: ignore[arg-type]  # fields of the value


def scheduler_of(*jobs: Waiting, **fields: object) -> Scheduler:
    scheduler = Scheduler(**fields)  # type: ignore[arg-type]  # fields of the value
    for waiting in jobs:
        scheduler.lanes.add(waiting)
    return scheduler


def order(scheduler: Scheduler, now: float = 0.0) -> list[str]:
    return list(places(scheduler, now=now, busy_until=now))


def slot(start: float, end: float, kind: SlotKind = SlotKind.CALIBRATION) -> Slot:
    return Slot(slot_id="s", kind=kind, start=start, end=end)


def test_classes_go_in_their_order() -> None:
    scheduler = scheduler_of(
        job(1, queue_class=QueueClass.BACKGROUND),
        job(2),
        job(3, queue_class=QueueClass.SESSION, session="w"),
        job(4, queue_class=QueueClass.SAFETY),
        windows=(Window(session="w", opened=1),),
    )
    assert order(scheduler) == ["job-4", "job-3", "job-2", "job-1"]


def test_a_session_that_holds_the_rack_keeps_others_out_even_while_it_idles() -> None:
    held = (Window(session="w", opened=1, holds_until=50.0),)
    scheduler = scheduler_of(job(1), windows=held)
    decision = scheduler.decide(10.0)
    assert (decision.job_id, decision.look_again) == (None, 50.0)
    assert scheduler.decide(50.0).job_id == "job-1"
    scheduler.lanes.add(job(2, queue_class=QueueClass.SESSION, session="w"))
    assert scheduler.decide(10.0).job_id == "job-2"
    scheduler.lanes.add(job(3, queue_class=QueueClass.SAFETY))
    assert scheduler.decide(10.0).job_id == "job-3"


def test_sessions_get_the_rack_in_the_order_in_which_they_were_opened() -> None:
    scheduler = scheduler_of(
        job(1, queue_class=QueueClass.SESSION, session="late"),
        job(2, queue_class=QueueClass.SESSION, session="early"),
        windows=(Window(session="late", opened=2), Window(session="early", opened=1)),
    )
    assert scheduler.decide(0.0).job_id == "job-2"


def test_a_session_whose_window_would_reach_into_a_slot_waits_for_its_end() -> None:
    scheduler = scheduler_of(
        job(1, queue_class=QueueClass.SESSION, session="w"),
        job(2),
        windows=(Window(session="w", opened=1, needs=100.0),),
        slots=(slot(60.0, 70.0),),
    )
    assert scheduler.decide(0.0).job_id == "job-2"
    assert scheduler.decide(70.0).job_id == "job-1"


def test_a_job_starts_only_if_it_ends_before_the_next_slot_and_a_shorter_one_goes_first() -> None:
    scheduler = scheduler_of(job(1, estimate=9.0), job(2, estimate=5.0), slots=(slot(10.0, 20.0),))
    assert scheduler.decide(0.0).job_id == "job-2"
    scheduler.lanes.remove("job-2")
    decision = scheduler.decide(0.0)
    assert (decision.job_id, decision.look_again) == (None, 10.0)
    assert scheduler.decide(20.0).job_id == "job-1"


def test_in_a_calibration_slot_only_its_own_jobs_run() -> None:
    mine = job(2, queue_class=QueueClass.CALIBRATION, slot="s")
    scheduler = scheduler_of(job(1), mine, slots=(slot(10.0, 20.0),))
    assert scheduler.decide(12.0).job_id == "job-2"
    scheduler.lanes.remove("job-2")
    decision = scheduler.decide(12.0)
    assert (decision.job_id, decision.look_again) == (None, 20.0)


def test_in_maintenance_nothing_runs_but_safety() -> None:
    scheduler = scheduler_of(job(1), slots=(slot(10.0, 20.0, SlotKind.MAINTENANCE),))
    assert scheduler.decide(12.0).job_id is None
    scheduler.lanes.add(job(2, queue_class=QueueClass.SAFETY))
    assert scheduler.decide(12.0).job_id == "job-2"


def test_a_running_job_leaves_for_safety_and_for_a_slot_but_a_session_stays() -> None:
    scheduler = scheduler_of(slots=(slot(10.0, 20.0),))
    assert not scheduler.preempts(QueueClass.NORMAL, "", "", 5.0)
    assert scheduler.preempts(QueueClass.NORMAL, "", "", 12.0)
    assert not scheduler.preempts(QueueClass.CALIBRATION, "", "s", 12.0)
    scheduler.windows = (Window(session="w", opened=1, holds_until=30.0),)
    assert not scheduler.preempts(QueueClass.SESSION, "w", "", 12.0)
    scheduler.lanes.add(job(1, queue_class=QueueClass.SAFETY))
    assert scheduler.preempts(QueueClass.SESSION, "w", "", 12.0)
    assert not scheduler.preempts(QueueClass.SAFETY, "", "", 12.0)


def test_the_project_that_used_less_goes_first_and_shares_weigh() -> None:
    shares = Shares(weights={"rich": 4.0})
    shares.add("a", 10.0, at=0.0)
    shares.add("rich", 30.0, at=0.0)
    scheduler = scheduler_of(job(1), job(2, project="b"), job(3, project="rich"), shares=shares)
    assert order(scheduler) == ["job-2", "job-3", "job-1"]


def test_used_seconds_lose_half_their_weight_in_a_half_life() -> None:
    shares = Shares()
    shares.add("a", 8.0, at=0.0)
    shares.add("b", 4.0, at=HALF_LIFE)
    assert math.isclose(shares.standing("a"), shares.standing("b"))
    shares.add("a", 1.0, at=70 * HALF_LIFE)
    shares.add("c", 1.0, at=70 * HALF_LIFE)
    assert math.isclose(shares.standing("a"), shares.standing("c"), rel_tol=1e-6)
    assert shares.standing("b") < 1e-6


def test_priority_decides_among_the_jobs_of_one_project_only() -> None:
    scheduler = scheduler_of(job(1), job(2, priority=5), job(3, project="b", priority=-5))
    assert order(scheduler)[0] == "job-2"
    scheduler.shares.add("a", 1.0, at=0.0)
    assert order(scheduler)[0] == "job-3"


def test_old_jobs_go_by_age_whatever_their_project_used() -> None:
    shares = Shares()
    shares.add("a", 1e6, at=0.0)
    scheduler = scheduler_of(job(1), job(2, project="b", since=NORMAL_AGE), shares=shares)
    assert scheduler.decide(100.0).job_id == "job-2"
    assert scheduler.decide(NORMAL_AGE + 1.0).job_id == "job-1"


def test_background_jobs_do_not_starve_either() -> None:
    scheduler = scheduler_of(job(1, queue_class=QueueClass.BACKGROUND), job(2, since=BACKGROUND_AGE))
    assert scheduler.decide(BACKGROUND_AGE).job_id == "job-2"
    assert scheduler.decide(BACKGROUND_AGE + 1.0).job_id == "job-1"


def test_what_is_old_goes_before_a_session_that_does_not_hold_the_rack() -> None:
    scheduler = scheduler_of(
        job(1, since=0.0),
        job(2, queue_class=QueueClass.SESSION, session="w", since=NORMAL_AGE),
        windows=(Window(session="w", opened=1),),
    )
    assert scheduler.decide(NORMAL_AGE - 1.0).job_id == "job-2"
    assert scheduler.decide(NORMAL_AGE).job_id == "job-1"
    scheduler.windows = (Window(session="w", opened=1, holds_until=math.inf),)
    assert scheduler.decide(NORMAL_AGE).job_id == "job-2"


def test_a_session_that_waited_as_long_goes_by_its_age_too() -> None:
    scheduler = scheduler_of(
        job(1, queue_class=QueueClass.SESSION, session="w", since=0.0),
        job(2, since=1.0),
        job(3, queue_class=QueueClass.BACKGROUND, since=2.0 - BACKGROUND_AGE),
        windows=(Window(session="w", opened=1),),
    )
    late = 2.0 + NORMAL_AGE
    assert order(scheduler, late) == ["job-3", "job-1", "job-2"]


def test_an_old_job_that_does_not_fit_before_a_slot_keeps_no_other_old_one_waiting() -> None:
    scheduler = scheduler_of(
        job(1, estimate=1e4),
        job(2),
        job(3, queue_class=QueueClass.SESSION, session="w", since=NORMAL_AGE),
        windows=(Window(session="w", opened=1),),
        slots=(slot(2 * NORMAL_AGE, 3 * NORMAL_AGE),),
    )
    assert scheduler.decide(NORMAL_AGE + 10.0).job_id == "job-2"


def test_a_job_that_is_added_again_stands_once_in_its_new_place() -> None:
    scheduler = scheduler_of(job(1), job(1, queue_class=QueueClass.BACKGROUND), job(2))
    assert order(scheduler) == ["job-2", "job-1"]
    assert "job-1" in scheduler.lanes
    assert scheduler.lanes.remove("job-9") is None


def test_a_forecast_waits_for_the_running_job_and_changes_nothing() -> None:
    scheduler = scheduler_of(job(1, estimate=3.0), job(2, estimate=2.0))
    found = places(scheduler, now=10.0, busy_until=14.0)
    assert [(place.position, place.start) for place in found.values()] == [(0, 14.0), (1, 17.0)]
    assert len(scheduler.lanes) == 2
    assert scheduler.shares.standing("a") == 0.0


def test_a_forecast_ends_where_nothing_can_be_told() -> None:
    scheduler = scheduler_of(job(1, queue_class=QueueClass.CALIBRATION, slot="over"))
    assert places(scheduler, now=0.0, busy_until=0.0) == {}


LONGEST = 2000.0
"""Seconds for which one job, or a session, has the rack at most."""
ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([QueueClass.SESSION, QueueClass.NORMAL, QueueClass.BACKGROUND]),
        st.sampled_from("abc"),
        st.integers(-2, 2),
        st.floats(1.0, LONGEST),
        st.floats(0.0, 1e5),
    ),
    min_size=1,
    max_size=20,
)


@dataclass
class Crowd:
    """A rack that sessions want always: whenever none waits, a batch has its next job and another session is opened."""

    scheduler: Scheduler = field(default_factory=Scheduler)
    count: int = 0
    started: dict[str, float] = field(default_factory=dict[str, float])

    def submit(self, **fields: object) -> None:
        self.count += 1
        if fields["queue_class"] is QueueClass.SESSION:
            fields["session"] = fields.get("session") or f"own-{self.count}"
            opened = {window.session for window in self.scheduler.windows}
            if fields["session"] not in opened:
                window = Window(session=str(fields["session"]), opened=self.count)
                self.scheduler.windows = (*self.scheduler.windows, window)
        self.scheduler.lanes.add(job(self.count, **fields))

    def crowd(self, now: float) -> None:
        """Let the two always want it."""
        waiting = {one.session for one in self.scheduler.lanes.jobs.values()}
        if "batch" not in waiting:
            self.submit(queue_class=QueueClass.SESSION, project="hog", session="batch", since=now, estimate=LONGEST)
        if not any(session.startswith("hog") for session in waiting):
            session = f"hog-{self.count}"
            self.submit(queue_class=QueueClass.SESSION, project="hog", session=session, since=now, estimate=LONGEST)

    def play(self, now: float) -> float:
        """Let the next job, or session, have the rack; gives when it has had it."""
        decision = self.scheduler.decide(now)
        assert decision.job_id is not None
        chosen = self.scheduler.lanes.remove(decision.job_id)
        assert chosen is not None
        self.started[chosen.job_id] = now
        self.scheduler.shares.add(chosen.project, chosen.estimate, at=now)
        return now + chosen.estimate


def came(waiting: Waiting) -> float:
    """When a job's time comes."""
    return waiting.since + (BACKGROUND_AGE if waiting.queue_class is QueueClass.BACKGROUND else NORMAL_AGE)


@settings(max_examples=100, deadline=None)
@given(ARRIVALS)
def test_every_job_starts_within_its_bound_though_sessions_always_want_the_rack(
    arrivals: list[tuple[QueueClass, str, int, float, float]],
) -> None:
    """Its time, what has the rack then, and those whose time came before its own."""
    crowd, now, bounds = Crowd(), 0.0, dict[str, float]()
    coming = sorted(arrivals, key=lambda arrival: arrival[-1])
    own: dict[str, Waiting] = {}
    while coming or own.keys() - crowd.started.keys():
        while coming and coming[0][-1] <= now:
            queue_class, project, priority, estimate, since = coming.pop(0)
            crowd.submit(queue_class=queue_class, project=project, priority=priority, estimate=estimate, since=since)
            name = f"job-{crowd.count}"
            own[name] = crowd.scheduler.lanes.jobs[name]
        crowd.crowd(now)
        waiting = crowd.scheduler.lanes.jobs
        for name, one in own.items():
            if name in waiting and name not in bounds and now >= came(one):
                assert now <= came(one) + LONGEST
                earlier = [
                    other.estimate for other in waiting.values() if other is not one and came(other) <= came(one)
                ]
                bounds[name] = now + sum(earlier)
        now = crowd.play(now)
        assert now < 1e6, "somebody waits for ever"
    assert all(crowd.started[name] <= bounds.get(name, math.inf) + 1e-6 for name in own)
    assert all(crowd.started[name] <= came(one) + LONGEST for name, one in own.items() if name not in bounds)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([QueueClass.SAFETY, QueueClass.SESSION, QueueClass.NORMAL, QueueClass.BACKGROUND]),
            st.sampled_from("ab"),
            st.integers(-2, 2),
            st.floats(0.0, 2 * BACKGROUND_AGE),
        ),
        max_size=30,
    ),
    st.integers(1, 5),
)
def test_a_short_forecast_is_the_beginning_of_a_long_one_and_needs_few_of_each_lane(
    wanted: list[tuple[QueueClass, str, int, float]], most: int
) -> None:
    scheduler = scheduler_of(windows=[Window(session=name, opened=n, patience=5.0) for n, name in enumerate("ab")])
    for number, (queue_class, name, priority, since) in enumerate(wanted):
        session = name if queue_class is QueueClass.SESSION else ""
        scheduler.lanes.add(
            job(number, queue_class=queue_class, project=name, session=session, priority=priority, since=since)
        )
    whole = places(scheduler, now=BACKGROUND_AGE, busy_until=BACKGROUND_AGE)
    begin = places(scheduler, now=BACKGROUND_AGE, busy_until=BACKGROUND_AGE, most=most)
    assert list(begin.items()) == list(whole.items())[:most]
    assert len(whole) == len(scheduler.lanes) == len(wanted)


def test_a_rehearsal_copies_no_more_of_a_long_queue_than_it_may_start() -> None:
    scheduler = scheduler_of(*(job(number) for number in range(500)))
    lane = scheduler.copy(10).lanes.head(lane_of(job(0)), 500)
    assert len(list(lane)) < 100


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(CLASSES, st.sampled_from("abc"), st.integers(-2, 2), st.floats(0.0, 20.0), st.booleans()),
        max_size=25,
    ),
    st.lists(st.tuples(st.floats(1.0, 50.0), st.floats(1.0, 10.0), st.sampled_from(SlotKind)), max_size=3),
)
def test_everything_that_can_run_runs_once_and_never_into_a_slot(
    wanted: list[tuple[QueueClass, str, int, float, bool]], reserved: list[tuple[float, float, SlotKind]]
) -> None:
    slots: list[Slot] = []
    end = 0.0
    for n, (gap, length, kind) in enumerate(reserved):
        slots.append(Slot(slot_id=str(n), kind=kind, start=end + gap, end=end + gap + length))
        end += gap + length
    windows = (Window(session="u", opened=2, needs=5.0), Window(session="v", opened=1))
    scheduler = Scheduler(slots=slots, windows=windows)
    for number, (queue_class, project, priority, estimate, choice) in enumerate(wanted):
        session = ("u" if choice else "v") if queue_class is QueueClass.SESSION else ""
        if queue_class is QueueClass.CALIBRATION:
            continue
        scheduler.lanes.add(
            Waiting(
                job_id=str(number),
                accepted=number,
                project=project,
                queue_class=queue_class,
                priority=priority,
                estimate=estimate,
                session=session,
            )
        )
    found = places(scheduler, now=0.0, busy_until=0.0)
    assert sorted(found) == sorted(scheduler.lanes.jobs)
    starts = [place.start for place in found.values()]
    assert starts == sorted(starts)
    begun: set[str] = set()
    for job_id, place in found.items():
        waiting = scheduler.lanes.jobs[job_id]
        # A session fits with all its time; what it does with it is its own.
        is_held = waiting.session in begun
        begun |= {waiting.session} - {""}
        if waiting.queue_class is not QueueClass.SAFETY and not is_held:
            inside = [s for s in slots if s.start < place.start + waiting.estimate and place.start < s.end]
            assert not inside
