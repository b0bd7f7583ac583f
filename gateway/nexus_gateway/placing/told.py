"""What `explain` says of the choice of an endpoint: the function that chooses, by loads that are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_gateway.placing.prompt_keys import keys_for
from nexus_gateway.prefix_cache import keeps_prompts
from nexus_gateway.prefix_routing.choice import Place, choose, limit_of
from nexus_gateway.prefix_routing.keys import Source
from nexus_gateway.prefix_routing.learned import Learned
from nexus_gateway.prefix_routing.load import Load, with_unknown
from nexus_gateway.prefix_routing.rendezvous import Seeds
from nexus_gateway.prefix_routing.width import NARROW, moved, need_of
from nexus_gateway.question import Decided, Question
from nexus_gateway.routes import Upstream

NAMED: Mapping[Source, str] = {
    "session": "the header x-nexus-session",
    "cache_key": "prompt_cache_key",
    "user": "the user that the body names",
    "prompt": "the beginning of the prompt",
}


def choice_told(
    question: Question, decided: Decided, upstream: Upstream, loads: Mapping[str, Load | None], share: float = 0.0
) -> dict[str, Any] | None:
    """None where nothing is chosen by prefix. `loads` by endpoint; None for one that said nothing, idle where there is
    no entry. `share`: of the upstream's load that the prompt's group makes, 0 to 1, by which it may use more endpoints
    than one. That, what home saves, which groups are dealt out anew for evenness, what endpoints weigh and who has
    answered before, a running gateway alone knows: home is taken to be worth it and to stay, and nothing to be
    remembered. `if_new`: where the conversation begins if the placement memory knows of none such; None where there is
    no memory."""
    parameters = upstream.prefix
    if parameters is None or decided.route is None or not keeps_prompts(question.surface):
        return None
    keys = keys_for(decided.caller, question.surface, question.head, decided.asked, decided.route, question.body)
    seen = [loads.get(one.id, Load(0, 0)) for one in upstream.endpoints]
    known = with_unknown([one or Load(0, 0, known=False) for one in seen])
    places = [Place(one.id, one.seed, load) for one, load in zip(upstream.endpoints, known, strict=True)]
    tokens = Learned().tokens(max(len(question.body), question.size))
    seeds = Seeds([one.seed for one in places])
    by_group = seeds.scores(keys.group)
    bar = moved(NARROW, by_group, need_of(len(places)) * share)
    choice = choose(keys, tokens, places, bar, parameters, seeds=seeds)
    remembers = upstream.choice is not None and upstream.choice.memory_seconds > 0
    even = [0.0] * len(places)  # what each was given of new ones, a running gateway alone knows
    begins = choose(keys, tokens, places, bar, parameters, seeds=seeds, dealt=even) if remembers else None
    home, limit = places[choice.home], limit_of(known, parameters)
    return {
        "key": NAMED[keys.source],
        "group": f"{keys.group:016x}",
        "conversation": f"{keys.conversation:016x}",
        "tokens": round(tokens),
        "home": home.id,
        "asked": places[choice.place].id,
        "why": choice.why,
        "because": _because(choice.why, home.load, limit, parameters.least_tokens),
        "if_new": None if begins is None else {"asked": places[begins.place].id, "why": begins.why},
        "width": choice.width,
        "group_share": share,
        "order": [place.id for _, place in sorted(zip(by_group, places, strict=True), reverse=True)],
        "assumed": "home is worth it and moved neither for evenness nor by weights, and nothing is remembered of the"
        " conversation",
        "loads": [
            {
                "endpoint": one.id,
                "queued_tokens": round(one.load.tokens),
                "requests": round(one.load.requests, 1),
                "cache_used": round(one.load.cache_used, 3),
                "known": one.load.known,
            }
            for one in places
        ],
    }


def _because(why: str, home: Load, limit: float, least: float) -> str:
    if why == "short":
        return f"the prompt is taken to have less than {least:g} tokens: the one with the least to do"
    if why == "home":
        return "nobody else is worth leaving home for"
    if home.requests >= limit:
        left = f"home has {home.requests:.0f} requests, and {limit:.1f} may be there"
    else:
        left = f"{home.tokens:.0f} tokens wait at home: more than elsewhere by more than it saves"
    return f"{left}{': so it is with all that know the beginning' if why == 'full' else ''}"
