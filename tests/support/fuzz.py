"""Values that nobody means, for every type of the schema, mixed with ids and names that exist."""

import base64
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    get_nullable_type,
)
from hypothesis import strategies as st

from tests.support.field_paths import Way, sane
from tests.support.tenant import Tenant

#: A request that waits is not what is tried here.
WAITS = ("waitSeconds",)

_STORAGE_IDS = ("Run:v1:a:b:c", "Run:v1:::", "Run:v1", "Artifact:0", f"Artifact:{10**30}", "Artifact:-1", "Tag:x", ":")
_TEXTS = (
    *("", " ", "0", "1", "-1", "9" * 30, "null", "true", "latest", "v0", "run", "local-process", "x" * 300),
    *("a\0b", "\ud800", "\u202e", "\U0001f600", "a\nb", "a/b", "../../../etc/passwd", "%2e%2e", "'; DROP TABLE runs"),
    *("{}", "[]", '"x"', "7", '{"a": ', '{"a": 1e999}', '{"resource_args": 7}', '{"uri": {}, "entity": []}'),
    *("\ufeff{}", "[" * 5000, '{"a":' * 900 + "1" + "}" * 900, f'{{"{"k" * 2000}": null}}'),
    '{"$or": [{"state": {"$in": [7]}}]}',
    *(base64.b64encode(words.encode()).decode() for words in _STORAGE_IDS),
)
_BY_NAME = {
    "filters": (
        *('{"state": "running"}', '{"displayName": {"$regex": "(x+x+)+y"}}', '{"config.a.b": {"$gt": 1e300}}'),
        *('{"summary_metrics.loss": {"$in": [[], {}, null]}}', '{"$or": []}', '{"$nor": {}}', '{"": 1}', '{"tags": 7}'),
        *(
            '{"$not": ' * 200 + "{}" + "}" * 200,
            f'{{"$and": [{", ".join(["{}"] * 2000)}]}}',
            '{"name": {"$regex": "["}}',
        ),
        *('{"state": {"$in": [' + ", ".join(["7"] * 40_000) + "]}}", '{"createdAt": {"$lt": "x"}}', '{"$where": "1"}'),
    ),
    "order": ("+createdAt", "-summary_metrics.loss", "-config.a.b", "+", "-,-", "+x,-y", ",".join(["-name"] * 3000)),
    "after": ("0", "5", "-1", "1" * 20, base64.b64encode(b"cursor:5").decode()),
    "pattern": ("*", "%", "[", "[!", "**/" * 2000, "%_" * 2000, "\\"),
    "specs": ("{}", '{"keys": []}', '{"keys": ["loss"], "samples": -1}', '{"samples": 1e300, "minStep": "x"}'),
    "keys": ("loss", "_wandb", "a.b", "a." * 3000, "."),
}
"""Texts that only a field of this name takes apart."""
_INTEGERS = (0, 1, -1, 7, 2**31 - 1, -(2**31), 2**31, 2**63, 2**63 - 1, -(2**63), 10**40)
_FLOATS = (0.0, -1.0, 1e-300, 1e18, 1.7e308)
_OF_ANY_TYPE = st.sampled_from([None, True, 7, 1.5, "x", [], {}, [[]], {"input": {}}, ["x", 7]])


class Values:
    """Strategies of values; `worlds` are those whose ids and names are mixed in."""

    def __init__(self, *worlds: Tenant) -> None:
        known = {value for tenant in worlds for value in vars(tenant).values() if isinstance(value, str)}
        hidden = {tenant.hidden for tenant in worlds}
        self._texts = st.sampled_from([*sorted(known - hidden), *_TEXTS])

    def arguments(self, kinds: dict[str, GraphQLInputType]) -> st.SearchStrategy[dict[str, Any]]:
        """Arguments of a field, whose types are given."""
        return st.fixed_dictionaries({name: self._of(kind, name) for name, kind in kinds.items()})

    def _of(self, kind: Any, name: str) -> st.SearchStrategy[Any]:
        plain = self._plain(get_nullable_type(kind), name)
        if not isinstance(kind, GraphQLNonNull):
            plain = st.none() | plain
        # Now and then one of another type altogether.
        return st.integers(0, 60).flatmap(lambda number: plain if number else _OF_ANY_TYPE)

    def _plain(self, kind: Any, name: str) -> st.SearchStrategy[Any]:
        if isinstance(kind, GraphQLList):
            return st.lists(self._of(kind.of_type, name), max_size=3)
        if isinstance(kind, GraphQLInputObjectType):
            return self._object(kind)
        if isinstance(kind, GraphQLEnumType):
            return st.sampled_from([*kind.values, "NONE"])
        return self._scalar(kind.name, name)

    def _object(self, kind: GraphQLInputObjectType) -> st.SearchStrategy[Any]:
        values = {key: self._of(field.type, key) for key, field in kind.fields.items()}
        needed = {key for key, field in kind.fields.items() if isinstance(field.type, GraphQLNonNull)}
        return st.fixed_dictionaries(
            {key: value for key, value in values.items() if key in needed},
            optional={key: value for key, value in values.items() if key not in needed},
        )

    def _scalar(self, kind: str, name: str) -> st.SearchStrategy[Any]:
        if name in WAITS:
            return st.sampled_from([0, -1, 1e-300])
        if kind in ("Int", "Int64", "Duration"):
            return st.sampled_from(_INTEGERS)
        if kind == "Float":
            return st.sampled_from(_FLOATS)
        if kind == "Boolean":
            return st.booleans()
        return st.sampled_from(_BY_NAME[name]) | self._texts if name in _BY_NAME else self._texts

    def along(
        self, ways: list[Way], own: Tenant, theirs: Tenant
    ) -> st.SearchStrategy[tuple[Way, list[dict[str, Any]]]]:
        """One of the ways to a field, and the arguments of its steps: sane until the last, for the most part."""
        return st.sampled_from(ways).flatmap(lambda way: st.tuples(st.just(way), self._of_steps(way, own, theirs)))

    def _of_steps(self, way: Way, own: Tenant, theirs: Tenant) -> st.SearchStrategy[list[dict[str, Any]]]:
        *on_the_way, _ = zip(way, sane(way, own), sane(way, theirs), strict=True)
        steps = [
            st.integers(0, 9).flatmap(
                lambda number, step=step, mine=mine, other=other: (
                    self.arguments(step.kinds) if number == 9 else st.just(other if number == 8 else mine)
                )
            )
            for step, mine, other in on_the_way
        ]
        return st.tuples(*steps, self.arguments(way[-1].kinds)).map(list)
