"""Where in a YAML or JSON file a JSON Pointer leads: line and column, as editors count them."""

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REPEATED_MAX = 50

Position = tuple[int, int]


class Positions:
    """The tree of a file; nothing is found in one that YAML cannot read, as some JSON with tabs."""

    def __init__(self, text: bytes) -> None:
        try:
            self._root: Node | None = yaml.compose(text, Loader=_Loader)
        except yaml.YAMLError:
            self._root = None

    def of(self, pointer: str | None) -> Position | None:
        """The place that the pointer leads to, or as far as there is something on its way."""
        if self._root is None:
            return None
        here, mark = self._root, self._root.start_mark
        for step in (pointer or "").split("/")[1:]:
            found = _inside(here, step.replace("~1", "/").replace("~0", "~"))
            if found is None:
                break
            mark, here = found[0].start_mark, found[1]
        return mark.line + 1, mark.column + 1

    def repeated_keys(self) -> list[tuple[str, Position]]:
        """Keys that stand twice in one object, of which YAML would silently take the last."""
        found: list[tuple[str, Position]] = []
        nodes, seen = [self._root] if self._root else [], set[int]()
        while nodes and len(found) < _REPEATED_MAX:
            node = nodes.pop()
            if id(node) in seen:  # an alias
                continue
            seen.add(id(node))
            if isinstance(node, MappingNode):
                keys = [key for key, _ in node.value if isinstance(key, ScalarNode)]
                names = [key.value for key in keys]
                found += [
                    (key.value, (key.start_mark.line + 1, key.start_mark.column + 1))
                    for place, key in enumerate(keys)
                    if key.value in names[:place]
                ]
                nodes += [value for _, value in node.value]
            elif isinstance(node, SequenceNode):
                nodes += node.value
        return sorted(found, key=lambda each: each[1])


def _inside(node: Node, step: str) -> tuple[Node, Node] | None:
    """Where a step begins, its key if it has one, and what it leads to."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, SequenceNode) and step.isdecimal() and int(step) < len(node.value):
        return node.value[int(step)], node.value[int(step)]
    return None
