"""Buttons, menus and layouts: what may stand where, and how many.

Two kinds of message: the old one has up to five action rows; the one with the flag Components V2 is made of layout
components alone, at most 40 with everything inside them, and carries no content and no embeds.
"""

from __future__ import annotations

from typing import Final

from sandbox import errors
from sandbox.models import Json

ROWS_LIMIT: Final = 5
TOTAL_LIMIT: Final = 40
TEXT_LIMIT: Final = 4_000
"""Characters of all text displays of a message together."""

ROW, BUTTON, SELECT, TEXT_INPUT = 1, 2, 3, 4
SELECTS: Final = frozenset({3, 5, 6, 7, 8})
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL = 9, 10, 11, 12, 13, 14, 17, 18

_TOP_V2: Final = frozenset({ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER})
_CHILDREN: Final[dict[int, frozenset[int]]] = {
    ROW: SELECTS | {BUTTON, TEXT_INPUT},
    SECTION: frozenset({TEXT_DISPLAY}),
    CONTAINER: _TOP_V2 - {CONTAINER},
}


class _Walk:
    """One pass over a tree: counts, checks and numbers."""

    def __init__(self) -> None:
        self.total = 0
        self.text = 0
        self.custom_ids: set[str] = set()

    def visit(self, component: Json, path: str, allowed: frozenset[int]) -> Json:
        kind = component.get("type")
        if not isinstance(kind, int) or kind not in allowed:
            shown = ", ".join(str(k) for k in sorted(allowed))
            raise errors.invalid_field(f"{path}.type", "BASE_TYPE_CHOICES", f"Value of field must be one of ({shown}).")
        self.total += 1
        kept = dict(component)
        kept["id"] = component.get("id") or self.total
        if kind == BUTTON:
            self._button(component, path)
        elif kind in SELECTS | {TEXT_INPUT}:
            self._custom_id(component, path)
            if "default_values" in component:  # ids come as numbers too, and are told as text
                kept["default_values"] = [one | {"id": str(one["id"])} for one in component["default_values"]]
        elif kind == TEXT_DISPLAY:
            self._text(component, path)
        if kind in _CHILDREN:
            kept["components"] = self._children(component, path, _CHILDREN[kind])
        if kind == SECTION:
            accessory = component.get("accessory") or {}
            kept["accessory"] = self.visit(accessory, f"{path}.accessory", frozenset({BUTTON, THUMBNAIL}))
        return kept

    def _children(self, component: Json, path: str, allowed: frozenset[int]) -> list[Json]:
        children = component.get("components") or []
        if not children:
            raise errors.invalid_field(f"{path}.components", "BASE_TYPE_REQUIRED", "This field is required")
        limit = {ROW: 5, SECTION: 3}.get(component["type"], TOTAL_LIMIT)
        if len(children) > limit or (component["type"] == ROW and _has_select(children) and len(children) > 1):
            raise errors.invalid_field(
                f"{path}.components",
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            )
        return [self.visit(c, f"{path}.components.{i}", allowed) for i, c in enumerate(children)]

    def _button(self, component: Json, path: str) -> None:
        style = component.get("style")
        if style not in (1, 2, 3, 4, 5, 6):
            raise errors.invalid_field(
                f"{path}.style", "BASE_TYPE_CHOICES", "Value of field must be one of (1, 2, 3, 4, 5, 6)."
            )
        label = component.get("label") or ""
        if len(label) > 80:
            raise errors.invalid_field(f"{path}.label", "BASE_TYPE_MAX_LENGTH", "Must be 80 or fewer in length.")
        if not label and not component.get("emoji"):
            raise errors.invalid_field(
                path, "BUTTON_COMPONENT_REQUIRES_LABEL_OR_EMOJI", "A button must have a label or an emoji"
            )
        if style == 5:
            if not str(component.get("url", "")).startswith(("http://", "https://", "discord://")):
                raise errors.invalid_field(f"{path}.url", "BASE_TYPE_REQUIRED", "A link button must have a URL")
        else:
            self._custom_id(component, path)

    def _custom_id(self, component: Json, path: str) -> None:
        custom_id = component.get("custom_id")
        if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 100:
            raise errors.invalid_field(
                f"{path}.custom_id", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length."
            )
        if custom_id in self.custom_ids:
            raise errors.invalid_field(
                f"{path}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"
            )
        self.custom_ids.add(custom_id)

    def _text(self, component: Json, path: str) -> None:
        content = component.get("content")
        if not isinstance(content, str) or not content:
            raise errors.invalid_field(f"{path}.content", "BASE_TYPE_REQUIRED", "This field is required")
        self.text += len(content)


def _has_select(children: list[Json]) -> bool:
    return any(c.get("type") in SELECTS for c in children)


def check(components: list[Json], *, v2: bool) -> list[Json]:
    """The components of a message, numbered as Discord numbers them.

    Raises:
        ApiError: 50035 for what may not stand there, or for too much of it.
    """
    walk = _Walk()
    limit = TOTAL_LIMIT if v2 else ROWS_LIMIT
    if len(components) > limit:
        raise errors.invalid_field("components", "BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {limit} in length.")
    allowed = _TOP_V2 if v2 else frozenset({ROW})
    kept = [walk.visit(c, f"components.{i}", allowed) for i, c in enumerate(components)]
    if walk.total > TOTAL_LIMIT and v2:
        raise errors.invalid_field(
            "components",
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
            f"The total number of components cannot exceed {TOTAL_LIMIT}",
        )
    if walk.text > TEXT_LIMIT:
        raise errors.invalid_field(
            "components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", f"The displayable text size exceeds {TEXT_LIMIT}"
        )
    return kept


def find(components: list[Json], custom_id: str) -> Json | None:
    """The button, menu or input with this custom id."""
    for component in components:
        if component.get("custom_id") == custom_id:
            return component
        inside = list(component.get("components", []))
        inside += [component[key] for key in ("accessory", "component") if key in component]
        found = find(inside, custom_id)
        if found is not None:
            return found
    return None
