"""Holds policy tests against routes. Each assertion says why it does not hold, and which rules it has looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus_gateway.auth import bearer_of
from nexus_gateway.candidates import Candidate, candidates
from nexus_gateway.errors import MODEL_NOT_FOUND, Refusal
from nexus_gateway.keys import Key
from nexus_gateway.masking.plan import Plan, plan_of
from nexus_gateway.policy import Caller, caller_of, place_of
from nexus_gateway.policy_tests.places import every_place
from nexus_gateway.policy_tests.reach import Reached, engines_of, fits, met, names, reached
from nexus_gateway.policy_tests.rules import Rules
from nexus_gateway.policy_tests.tests_file import (
    Amount,
    Bound,
    CallerFile,
    CopiesFile,
    GoesToFile,
    LimitsFile,
    MaskedFile,
    PolicyTest,
    RequestFile,
    ShareFile,
    StaysFile,
)
from nexus_gateway.question import ANYBODY, BY_API, Question, body_of, decide, well_but
from nexus_gateway.routes import Table
from nexus_gateway.routes_file import MaskingFile
from nexus_gateway.routing import BUCKETS, Route
from nexus_gateway.tokens.claims import Claims

_NO_ROUTE = "nothing to hold: there is no route {}"


@dataclass(frozen=True)
class Held:
    test: str
    assertion: str
    fault: str = ""
    """Why it does not hold; empty where it does."""
    vacuous: str = ""
    """Why it could not have failed; empty where it could."""


def hold(tests: Sequence[PolicyTest], table: Table, looked_at: Rules | None = None) -> Iterator[Held]:
    """One for each assertion, in order. `looked_at` is told the rules that took part."""
    rules = looked_at or Rules(table)
    for test in tests:
        yield from _Holding(test, table, rules).held()


def key_of(caller: CallerFile | None) -> Key:
    if caller is None:
        return ANYBODY
    models = None if caller.models is None else frozenset(caller.models)
    if caller.subject is not None:
        return bearer_of(Claims(caller.subject, models, float("inf")))
    return Key(caller.tenant or "", models, admin=False)


class _Holding:
    def __init__(self, test: PolicyTest, table: Table, looked_at: Rules) -> None:
        self._test, self._table, self._rules = test, table, looked_at
        self._key = key_of(test.caller)
        self._caller: Caller = caller_of(self._key, table)
        self._policy = place_of(self._key, table)

    def held(self) -> Iterator[Held]:
        test = self._test
        if test.may_use:
            yield self._may_use("may_use", test.may_use)
        if test.never_reaches:
            yield self._never(test.never_reaches)
        if test.only is not None:
            yield self._only(test.only)
        if test.limits is not None:
            yield from self._limits(test.limits)
        if test.masks is not None:
            yield self._masks(test.masks)
        if test.stays is not None:
            yield self._stays(test.stays)
        if test.share is not None:
            yield self._share(test.share)
        if test.copies is not None:
            yield self._copies(test.copies)
        if test.request is not None:
            yield self._request(test.request)

    def _said(self, assertion: str, fault: str = "", vacuous: str = "") -> Held:
        return Held(self._test.name, assertion, fault, vacuous if not fault else "")

    def _reached(self, only: tuple[str, ...] = ("*",)) -> Iterator[Reached]:
        self._rules.policy(self._policy, "models")
        for one in reached(self._table, self._key, only):
            self._rules.reached(one)
            yield one

    def _may_use(self, assertion: str, models: Sequence[str]) -> Held:
        self._rules.policy(self._policy, "models")
        for model in models:
            if not self._caller.may_use(model):
                return self._said(assertion, f"it may not use {model}")
            if model in self._table.routes and next(self._reached((model,)), None) is None:
                return self._said(assertion, f"nobody answers for {model}")
        return self._said(assertion)

    def _never(self, patterns: Sequence[str]) -> Held:
        """A name that the policy lets through is one too many, whether or not there is a route for it today."""
        hidden = [model for model in self._table.routes if fits(model, patterns)]
        self._rules.policy(self._policy, "models")
        plain = [pattern for pattern in patterns if not set(pattern) & set("*?[")]
        for model in (*plain, *hidden):
            if self._caller.may_use(model):
                return self._said("never_reaches", f"its policy lets it use {model}")
        engines = engines_of(self._table, hidden)
        for one in self._reached():
            if model := met(one.upstream, engines):
                return self._said("never_reaches", f"it reaches {model}: {one.story}")
        return self._said("never_reaches", vacuous="" if plain or hidden else _NO_ROUTE.format("of such a name"))

    def _only(self, models: Sequence[str]) -> Held:
        may = self._may_use("only", models)
        if may.fault:
            return may
        for name in names(self._table, self._caller):
            if name not in models and self._caller.may_use(name):
                return self._said("only", f"it may use {name} too")
        routes = self._table.routes
        own = engines_of(self._table, (name for name in routes if name in models))
        others = engines_of(self._table, (name for name in routes if name not in models))
        for one in self._reached():
            strange = met(one.upstream, others) and not met(one.upstream, own)
            if strange or one.route.name not in models:
                return self._said("only", f"it reaches more: {one.story}")
        return self._said("only")

    def _limits(self, wanted: LimitsFile) -> Iterator[Held]:
        for name in type(wanted).model_fields:
            amount: Amount | None = getattr(wanted, name)
            if amount is not None:
                self._rules.policy(self._policy, name)
                has: int | None = getattr(self._caller.policy, name)
                yield self._said(f"limits.{name}", _beyond(has, amount))

    def _masks(self, wanted: MaskedFile) -> Held:
        """On the way to every engine that it reaches; by its policy alone, where it reaches none."""
        self._rules.policy(self._policy, "masking")
        own = self._caller.policy.masking
        plans = [(plan_of(one.route.masking, own, _of_copies(one)), one.story) for one in self._reached()]
        for plan, story in plans or [(plan_of(own), "by its policy")]:
            if fault := _unmasked(wanted, plan):
                return self._said("masks", f"{fault}: {story}")
        return self._said("masks")

    def _stays(self, wanted: StaysFile) -> Held:
        some = False
        for one in self._reached(wanted.models):
            some = True
            if strange := one.outside(wanted.hosts):
                return self._said("stays", f"it leaves for {strange[0]}: {one.story}")
        return self._said("stays", vacuous="" if some else _NO_ROUTE.format(", ".join(wanted.models)))

    def _share(self, wanted: ShareFile) -> Held:
        route = self._table.routes.get(wanted.model)
        if route is None:
            return self._said("share", vacuous=_NO_ROUTE.format(wanted.model))
        meant = [
            target
            for number, target in enumerate(route.targets)
            if (number > 0 if wanted.of is None else fits(target.upstream, wanted.of))
        ]
        for target in meant:
            self._rules.target(route, target.upstream)
        percent = sum(target.share for target in meant) * 100 / BUCKETS
        bound = Bound(at_least=wanted.at_least, at_most=wanted.at_most)
        nobody = wanted.of is not None and not any(fits(name, wanted.of) for name in self._table.upstreams)
        vacuous = f"nothing to hold: there is no upstream {', '.join(wanted.of or ())}" if nobody else ""
        return self._said("share", _beyond(percent, bound), vacuous)

    def _copies(self, wanted: CopiesFile) -> Held:
        route = self._table.routes.get(wanted.model)
        if route is None:
            return self._said("copies", vacuous=_NO_ROUTE.format(wanted.model))
        shadow = route.shadow
        share = shadow.share if shadow else 0
        if shadow is not None:
            self._rules.shadow(route)
            if share and not fits(shadow.upstream, wanted.to):
                return self._said("copies", f"{shadow.upstream} gets copies")
        bound = Bound(at_least=wanted.at_least, at_most=wanted.at_most)
        return self._said("copies", _beyond(share * 100 / BUCKETS, bound))

    def _request(self, wanted: RequestFile) -> Held:
        headers = wanted.headers | ({"x-nexus-session": wanted.session} if wanted.session else {})
        question = Question(self._key, BY_API[wanted.api], body_of(wanted.model, wanted.body), headers)
        self._rules.policy(self._policy, "models", "passthrough", "max_tokens")
        assertion = "goes_to" if self._test.goes_to else "refused"
        for place in every_place():
            try:
                decided = decide(question, self._table, None if wanted.session else place)
            except Refusal as refusal:
                return self._said(assertion, f"its body is none: {refusal}")
            if decided.refusal is not None or decided.wanted is None:
                return self._refused(wanted.model, decided.refusal)
            if self._test.goes_to is None:
                return self._said(assertion, f"it is not refused, and goes to {decided.wanted.route.name}")
            first = next(candidates(self._table, decided.wanted, well_but(wanted.open)), None)
            if fault := self._astray(question, decided.wanted.route, first, self._test.goes_to):
                return self._said(assertion, fault)
        return self._said(assertion)

    def _refused(self, model: str, refusal: Refusal | None) -> Held:
        code, asked = refusal.condition.code if refusal else "", self._test.refused
        if asked is not None and asked != code == MODEL_NOT_FOUND.code:
            return self._said("refused", vacuous=_NO_ROUTE.format(model))
        fault = "" if code == asked else f"it is refused: {code}: {refusal}"
        return self._said("goes_to" if asked is None else "refused", fault)

    def _astray(self, question: Question, asked: Route, first: Candidate | None, wanted: GoesToFile) -> str:
        if first is None:
            return "nobody answers"
        self._rules.answered(asked, first, question.holds)
        if fits(first.route.name, (wanted.route,)) and fits(first.upstream.name, (wanted.upstream,)):
            return ""
        return f"it goes to {first.upstream.name} of {first.route.name}"


def _of_copies(one: Reached) -> MaskingFile | None:
    return one.asked.shadow.masking if one.copy and one.asked.shadow else None


def _unmasked(wanted: MaskedFile, plan: Plan | None) -> str:
    if plan is None:
        return "nothing is masked"
    requests, answers = plan.requests | plan.recognized_requests, plan.answers | plan.recognized_answers
    missing = sorted({*wanted.requests} - requests) + sorted({*wanted.answers} - answers)
    if missing:
        return f"not masked: {', '.join(missing)}"
    wrong = wanted.restores is not None and plan.restore != wanted.restores
    return f"restore is {str(plan.restore).lower()}" if wrong else ""


def _beyond(has: float | None, wanted: Amount) -> str:
    bound = Bound(at_least=wanted, at_most=wanted) if isinstance(wanted, int) else wanted
    shown = "unlimited" if has is None else f"{has:g}"
    if bound.at_most is not None and (has is None or has > bound.at_most):
        return f"it is {shown}, above {bound.at_most:g}"
    if bound.at_least is not None and has is not None and has < bound.at_least:
        return f"it is {shown}, below {bound.at_least:g}"
    return ""
