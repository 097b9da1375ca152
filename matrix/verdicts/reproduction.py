"""What a result was made of, beside what it was made of again, and whether the same came of it. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from matrix.checks import registry
from matrix.model.base import Frozen
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.model.base import Frozen as Value
    from matrix.model.cell import Cell
    from matrix.model.result import CellResult, CheckResult
    from matrix.model.tree import Tree

Same = Literal["same", "differs", "unknown"]
LISTED = 8
BAD = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.XFAIL)


class Ingredient(Frozen):
    """One thing that a result was made of, then and now; `note` says what of it differs."""

    name: str
    then: str
    now: str
    same: Same
    note: str = ""


class CheckDifference(Frozen):
    """A check that came to something else: verdicts, and the keys of findings that only one of the two has."""

    check: str
    then: str
    now: str
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


class Reproduction(Frozen):
    """Whether what the first result said is so again, and where not; `compared` checks said something then."""

    answer: Literal["reproduced", "partly", "not reproduced", "undecided"]
    reason: str
    compared: int
    differences: tuple[CheckDifference, ...] = ()


def compare(then: CellResult, now: CellResult) -> tuple[Ingredient, ...]:
    """Return each ingredient of two results; what one of them does not say is unknown."""
    rows = [_row("tool version", then.tool_version, now.tool_version)]
    rows += _images(then, now)
    rows += [_packages(then, now), *_trees(then, now)]
    if then.definition and now.definition:
        rows += [*_definitions(then.definition, now.definition), _patches(then, now)]
    rows += [
        _values("environment", then.environment, now.environment),
        _values("limits", then.limits.model_dump(), now.limits.model_dump()),
        _row("make's jobs", str(then.jobs or ""), str(now.jobs or "")),
    ]
    hosts = {"kernel BTF sha256": "btf_sha256", "engine": "engine", "storage": "storage", "kernel": "kernel",
             "architecture": "architecture", "processors": "cpus"}  # fmt: skip
    rows += [_row(name, then.host.get(key, ""), now.host.get(key, "")) for name, key in hosts.items()]
    return tuple(rows)


def _row(name: str, then: str, now: str, note: str = "") -> Ingredient:
    same: Same = "unknown" if not (then and now) else "same" if then == now else "differs"
    return Ingredient(name=name, then=then, now=now, same=same, note=note if same == "differs" else "")


def _digest(value: Value) -> str:
    return hashlib.sha256(value.model_dump_json().encode()).hexdigest()[:12]


def _values(name: str, then: dict[str, Any], now: dict[str, Any]) -> Ingredient:
    """Return the row of a mapping, which says no more than what of it differs."""
    keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    changes = [f"{key}: {then.get(key, 'none')} > {now.get(key, 'none')}" for key in keys]
    shown = [_count(then, "value"), _count(now, "value")]
    if not keys:
        return Ingredient(name=name, then=shown[0], now=shown[1], same="same")
    return Ingredient(name=name, then=shown[0], now=shown[1], same="differs", note=_listed(changes))


def _count(values: dict[str, Any], word: str) -> str:
    return f"{len(values)} {word}{'s' if len(values) != 1 else ''}"


def _listed(changes: list[str]) -> str:
    more = f"; and {len(changes) - LISTED} more" if len(changes) > LISTED else ""
    return "; ".join(changes[:LISTED]) + more


def _definition(name: str, then: Value, now: Value) -> Ingredient:
    """Return the row of a piece of configuration, with the keys that differ; what it is called does not count."""
    before, after = ({k: v for k, v in one if k not in ("name", "summary", "extends")} for one in (then, now))
    keys = [key for key in before if before[key] != after[key]]
    if not keys:
        return Ingredient(name=name, then=_digest(then), now=_digest(then), same="same")
    return Ingredient(name=name, then=_digest(then), now=_digest(now), same="differs", note=f"in {', '.join(keys)}")


def _definitions(then: Cell, now: Cell) -> Iterator[Ingredient]:
    yield _definition("image recipe", then.image, now.image)
    yield _values(
        f"toolchain {then.toolchain}",
        dict(then.image.toolchains.get(then.toolchain, {})),
        dict(now.image.toolchains.get(now.toolchain, {})),
    )
    yield _definition("build", then.build, now.build)
    yield _definition("tree's description", _described(then.tree), _described(now.tree))
    edits = [", ".join(f"{edit.name} {_digest(edit)}" for edit in one.tree.edits) or "none" for one in (then, now)]
    yield _row("edits", *edits)


def _patches(then: CellResult, now: CellResult) -> Ingredient:
    """Return the row of the patches; a commit's name is of its date and words, too: what counts is what they make."""
    deltas = [one.definition.tree.delta if one.definition else None for one in (then, now)]
    said = [f"{delta.base[:12]}..{delta.commit[:12]}" if delta else "none" for delta in deltas]
    row = _row("patches", *said)
    same = all(deltas) and then.tree and now.tree and then.tree.sha256 == now.tree.sha256
    return row.model_copy(update={"same": "same", "note": "they make the same tree"}) if same else row


def _described(tree: Tree) -> Tree:
    return tree.model_copy(update={"source": "", "edits": (), "delta": None})


def _images(then: CellResult, now: CellResult) -> Iterator[Ingredient]:
    before, after = then.image, now.image
    bases = (before.base if before else "", after.base if after else "")
    row = _row("base image", *bases)
    if row.same == "same" and not bases[0].startswith("pulled "):
        note = "it was bootstrapped, so there is no digest to compare: the packages say more"
        row = row.model_copy(update={"same": "unknown", "note": note})
    yield row
    digests = (before.digest if before else "", after.digest if after else "")
    yield _row("image digest", *digests, "an image that is built anew has another one: the packages say more")


def _packages(then: CellResult, now: CellResult) -> Ingredient:
    before, after = (one.image.packages if one.image else {} for one in (then, now))
    if not (before and after):
        then_count, now_count = (_count(one, "package") if one else "" for one in (before, after))
        return Ingredient(name="packages", then=then_count, now=now_count, same="unknown")
    row = _values("packages", dict(before), dict(after))
    same = sum(before[name] == after.get(name) for name in before)
    return row.model_copy(update={"then": _count(before, "package"), "now": f"{len(after)}, {same} of them the same"})


def _trees(then: CellResult, now: CellResult) -> Iterator[Ingredient]:
    before, after = then.tree, now.tree
    yield _row("tree sha256", before.sha256 if before else "", after.sha256 if after else "")
    yield _row("tree version", before.version if before else "", after.version if after else "")
    origin = _row("tree's origin", before.origin if before else "", after.origin if after else "")
    yield origin.model_copy(update={"note": "its sha256 says more"}) if origin.same == "differs" else origin


def outcome(then: CellResult, now: CellResult) -> Reproduction:
    """Return whether each check that said something in the first result says it again: verdict and finding keys.

    Where the first result found faults, these decide: passing checks that pass again reproduce no failure.
    """
    for which, one in (("first", then), ("second", now)):
        if one.verdict == Verdict.ERROR:
            return Reproduction(
                answer="undecided", reason=f"the {which} result is an ERROR of its machine: {one.reason}", compared=0
            )
    said = [check for check in then.checks if check.verdict != Verdict.SKIP]
    if not said:
        alike = (then.verdict, then.reason) == (now.verdict, now.reason)
        reason = f"no check said anything then: {then.verdict} {then.reason}".rstrip()
        return Reproduction(answer="reproduced" if alike else "not reproduced", reason=reason, compared=0)
    later = {check.check: check for check in now.checks}
    differences = {check.check: _difference(check, later.get(check.check)) for check in said}
    found = tuple(difference for difference in differences.values() if difference)
    deciding = [check for check in said if check.verdict in BAD] or said
    again = sum(differences[check.check] is None for check in deciding)
    kind = "checks that found faults" if deciding[0].verdict in BAD else "checks"
    reason = f"{again} of {len(deciding)} {kind} came out alike"
    if not found:
        return Reproduction(answer="reproduced", reason=reason, compared=len(said))
    return Reproduction(
        answer="partly" if again else "not reproduced", reason=reason, compared=len(said), differences=found
    )


def _difference(then: CheckResult, now: CheckResult | None) -> CheckDifference | None:
    before = {finding.key for finding in then.findings}
    after = {finding.key for finding in now.findings} if now else set[str]()
    if now and (now.verdict, after) == (then.verdict, before):
        return None
    return CheckDifference(
        check=then.check,
        then=then.verdict,
        now=now.verdict if now else "not run",
        gone=tuple(sorted(before - after)),
        new=tuple(sorted(after - before)),
    )


def failing_step(result: CellResult) -> str:
    """Return the step at which a cell failed, or nothing: the first that did, or the one that a failed check owns."""
    for step in result.steps:
        if step.verdict == Verdict.FAIL:
            return step.name
    failed = [check.check for check in result.checks if check.verdict == Verdict.FAIL]
    known = registry()
    owned = {step for name in failed if name in known for step in known[name].owns}
    needed = {step for name in failed if name in known for step in known[name].needs}
    ran = [step.name for step in result.steps if step.verdict != Verdict.SKIP]
    return next((name for name in ran if name in owned), "") or next((n for n in reversed(ran) if n in needed), "")
