"""How revisions follow from one another: pure, so every rule is a line here."""

from __future__ import annotations

from collections.abc import Mapping

from qubitd.core.snapshot import Parameter, Snapshot
from qubitd.server.revisions.revision_rules import Edit, apply, differences, file_edit, rollback_edit


def first(name: str, value: float) -> Parameter:
    return Parameter(name=name, value=float(value), unit="Hz", source="file")


def measured(name: str, value: float) -> Parameter:
    return Parameter(name=name, value=float(value), unit="Hz", measured_at=5, source="ramsey")


def named(*parameters: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}


def snapshot(revision: int, parameters: Mapping[str, Parameter]) -> Snapshot:
    return Snapshot(revision=revision, parent=revision - 1, author="a", message="", created_at=0, parameters=parameters)


def test_an_edit_makes_the_next_revision_and_keeps_the_rest() -> None:
    current = snapshot(3, named(first("a", 1), first("b", 2), first("c", 3)))
    made = apply(Edit(values=named(measured("b", 9)), removed=("c",)), current, author="me", message="m", created_at=7)
    assert (made.revision, made.parent, made.author, made.message, made.created_at) == (4, 3, "me", "m", 7)
    assert dict(made.parameters) == named(first("a", 1), measured("b", 9))


def test_a_file_value_that_did_not_change_leaves_what_was_measured() -> None:
    file = named(first("a", 1))
    assert file_edit(before=file, after=file, current=named(measured("a", 1.5))).is_empty


def test_a_file_value_that_changed_replaces_what_was_measured() -> None:
    edit = file_edit(before=named(first("a", 1)), after=named(first("a", 2)), current=named(measured("a", 1.5)))
    assert edit.values == named(first("a", 2))


def test_a_file_value_that_changed_to_what_is_in_force_changes_nothing() -> None:
    edit = file_edit(before=named(first("a", 1)), after=named(first("a", 2)), current=named(measured("a", 2)))
    assert edit.is_empty


def test_a_unit_that_changed_is_a_change() -> None:
    after = Parameter(name="a", value=1, unit="s")
    assert file_edit(before=named(first("a", 1)), after=named(after), current=named(first("a", 1))).values == named(
        after
    )


def test_a_value_new_in_the_file_is_added() -> None:
    edit = file_edit(before={}, after=named(first("a", 1)), current={})
    assert edit.values == named(first("a", 1))


def test_a_value_gone_from_the_file_goes_unless_it_was_measured() -> None:
    before = named(first("a", 1), first("b", 1), first("gone", 1))
    edit = file_edit(before=before, after={}, current=named(first("a", 1), measured("b", 2)))
    assert (edit.values, edit.removed) == ({}, ("a",))


def test_rollback_of_all_brings_back_values_and_removes_what_was_added() -> None:
    older = snapshot(1, named(first("a", 1), first("b", 2)))
    current = snapshot(5, named(measured("a", 9), first("b", 2), first("c", 3)))
    edit = rollback_edit(older=older, current=current)
    assert (edit.values, edit.removed) == (named(first("a", 1)), ("c",))


def test_rollback_of_some_leaves_the_others() -> None:
    older = snapshot(1, named(first("a", 1), first("b", 2)))
    current = snapshot(5, named(measured("a", 9), measured("b", 9)))
    assert rollback_edit(older=older, current=current, names=["b"]).values == named(first("b", 2))


def test_differences_are_sorted_and_say_what_was_added_and_removed() -> None:
    changes = differences(
        snapshot(1, named(first("b", 1), first("a", 1), first("same", 1))),
        snapshot(2, named(first("a", 2), first("c", 1), first("same", 1))),
    )
    assert [(c.name, c.before and c.before.value, c.after and c.after.value) for c in changes] == [
        ("a", 1, 2),
        ("b", 1, None),
        ("c", None, 1),
    ]
