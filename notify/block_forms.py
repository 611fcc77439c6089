"""PURE: the forms of Block Kit as one visible table (docs.slack.dev/reference/block-kit: blocks, elements, objects).

A form names what a block, element or object must have and may have, and what each member must be. Slack refuses
members that it does not know. Limits of length and number are no part of a form: see `slack_limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from notify.addresses import NO_ADDRESS, opens

Found = tuple[str, str]  # place, what is wrong
Check = Callable[[object, str], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Form:
    """What an object must have, may have, and must have at least one of."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()

    def findings(self, value: Mapping[str, Any], at: str, name: str) -> Iterator[Found]:
        """What is missing, unknown or wrong in an object of this form."""
        known = {**self.required, **self.optional}
        for member in self.required:
            if member not in value:
                yield at, f"has no {member}, which {name} needs"
        if self.one_of and not any(value.get(member) for member in self.one_of):
            yield at, f"has neither {' nor '.join(self.one_of)}"
        for member, given in value.items():
            if member in known:
                yield from known[member](given, f"{at}.{member}")
            elif member not in ("type", "block_id"):
                yield f"{at}.{member}", f"is not known in {name}"


def a_string(value: object, at: str) -> Iterator[Found]:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        yield at, "must be text that is not empty"


def a_switch(value: object, at: str) -> Iterator[Found]:
    """True or false."""
    if not isinstance(value, bool):
        yield at, "must be true or false"


def a_picture(value: object, at: str) -> Iterator[Found]:
    """The address of a picture."""
    if not isinstance(value, str) or not value.lower().startswith(("https://", "http://")):
        yield at, "must be the https address of a picture"


def an_address(value: object, at: str) -> Iterator[Found]:
    """The address that a press opens."""
    if not isinstance(value, str) or not opens(value):
        yield at, NO_ADDRESS


def anything(value: object, at: str) -> Iterator[Found]:
    """What is not looked at."""
    yield from ()


def a_word(*words: str) -> Check:
    """One of these words."""

    def check(value: object, at: str) -> Iterator[Found]:
        if value not in words:
            yield at, f"must be one of {', '.join(words)}"

    return check


def a_text(*kinds: str) -> Check:
    """A text object of one of these kinds."""
    forms = {kind: _TEXTS[kind] for kind in kinds}
    return a_kind("a text object", forms)


def a_kind(what: str, forms: Mapping[str, Form]) -> Check:
    """An object whose type is one of these."""

    def check(value: object, at: str) -> Iterator[Found]:
        kind = value.get("type") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(kind, str):
            yield at, f"must be {what} with a type: one of {', '.join(forms)}"
        elif kind not in forms:
            yield f"{at}.type", f'"{kind[:40]}" cannot stand here: one of {", ".join(forms)}'
        else:
            yield from forms[kind].findings(value, at, kind)

    return check


def an_object(what: str, form: Form) -> Check:
    """An object without a type."""

    def check(value: object, at: str) -> Iterator[Found]:
        if isinstance(value, Mapping):
            yield from form.findings(value, at, what)
        else:
            yield at, f"must be {what}, which is an object"

    return check


def a_list(each: Check) -> Check:
    """A list that is not empty."""

    def check(value: object, at: str) -> Iterator[Found]:
        if not isinstance(value, list) or not value:
            yield at, "must be a list that is not empty"
            return
        for index, item in enumerate(value):
            yield from each(item, f"{at}[{index}]")

    return check


# composition objects
_TEXTS: Final = {
    "plain_text": Form({"text": a_string}, {"emoji": a_switch}),
    "mrkdwn": Form({"text": a_string}, {"verbatim": a_switch}),
}
PLAIN: Final = a_text("plain_text")
TEXT: Final = a_text("plain_text", "mrkdwn")
_CONFIRM: Final = an_object(
    "a confirmation dialog",
    Form({"title": PLAIN, "text": TEXT, "confirm": PLAIN, "deny": PLAIN}, {"style": a_word("primary", "danger")}),
)
_OPTION: Final = an_object(
    "an option", Form({"text": TEXT, "value": a_string}, {"description": TEXT, "url": an_address})
)
_GROUP: Final = an_object("a group of options", Form({"label": PLAIN, "options": a_list(_OPTION)}))

# block elements
_ANY: Final[Mapping[str, Check]] = {"action_id": a_string, "confirm": _CONFIRM, "focus_on_load": a_switch}
_SELECT: Final[Mapping[str, Check]] = {**_ANY, "placeholder": PLAIN}
_STATIC: Final[Mapping[str, Check]] = {
    **_SELECT,
    "options": a_list(_OPTION),
    "option_groups": a_list(_GROUP),
    "initial_option": _OPTION,
}
_MANY: Final[Mapping[str, Check]] = {"initial_options": a_list(_OPTION), "max_selected_items": anything}
_FOUND: Final[Mapping[str, Check]] = {"min_query_length": anything, "initial_option": _OPTION}
_PEOPLE: Final[Mapping[str, Check]] = {
    **dict.fromkeys(("initial_user", "initial_users", "initial_channel", "initial_channels"), anything),
    **dict.fromkeys(("initial_conversation", "initial_conversations", "default_to_current_conversation"), anything),
    **dict.fromkeys(("filter", "response_url_enabled", "max_selected_items"), anything),
}
_TYPED: Final[Mapping[str, Check]] = {
    **_SELECT,
    **dict.fromkeys(("initial_value", "multiline", "min_length", "max_length", "dispatch_action_config"), anything),
}
_CHOOSE: Final = {
    "static_select": Form({}, _STATIC, ("options", "option_groups")),
    "multi_static_select": Form({}, {**_STATIC, **_MANY}, ("options", "option_groups")),
    "external_select": Form({}, {**_SELECT, **_FOUND}),
    "multi_external_select": Form({}, {**_SELECT, **_FOUND, **_MANY}),
    **{
        f"{many}{whom}_select": Form({}, {**_SELECT, **_PEOPLE})
        for many in ("", "multi_")
        for whom in ("users", "conversations", "channels")
    },
    "checkboxes": Form({"options": a_list(_OPTION)}, {**_ANY, "initial_options": a_list(_OPTION)}),
    "radio_buttons": Form({"options": a_list(_OPTION)}, {**_ANY, "initial_option": _OPTION}),
    "datepicker": Form({}, {**_SELECT, "initial_date": a_string}),
    "timepicker": Form({}, {**_SELECT, "initial_time": a_string, "timezone": a_string}),
    "datetimepicker": Form({}, {**_ANY, "initial_date_time": anything}),
}
_PRESS: Final = {
    "button": Form(
        {"text": PLAIN},
        {
            **_ANY,
            "url": an_address,
            "value": a_string,
            "style": a_word("primary", "danger"),
            "accessibility_label": a_string,
            "agent_prompt": anything,
        },
    ),
    "overflow": Form({"options": a_list(_OPTION)}, _ANY),
    "workflow_button": Form(
        {"text": PLAIN, "workflow": anything},
        {**_ANY, "style": a_word("primary", "danger"), "accessibility_label": a_string},
    ),
}
_IMAGE: Final = {
    "image": Form(
        {"alt_text": a_string},
        {"image_url": a_picture, "slack_file": anything, "image_width": anything, "image_height": anything}
        | {"image_bytes": anything, "fallback": anything},
        ("image_url", "slack_file"),
    )
}
_WRITE: Final = {
    "plain_text_input": Form({}, _TYPED),
    "email_text_input": Form({}, _TYPED),
    "url_text_input": Form({}, _TYPED),
    "rich_text_input": Form({}, _TYPED),
    "number_input": Form({"is_decimal_allowed": a_switch}, {**_TYPED, "min_value": anything, "max_value": anything}),
    "file_input": Form({}, {"action_id": a_string, "filetypes": anything, "max_files": anything}),
}
_ASSIST: Final = {
    "feedback_buttons": Form({"positive_button": anything, "negative_button": anything}, {"action_id": a_string}),
    "icon_button": Form(
        {"icon": a_string, "text": PLAIN},
        {**_ANY, "value": a_string, "accessibility_label": a_string, "visible_to_user_ids": anything},
    ),
}

# rich text
_STYLED: Final[Mapping[str, Check]] = {"style": anything}
_RICH: Final = a_list(
    a_kind(
        "an element of rich text",
        {
            "text": Form({"text": a_string}, _STYLED),
            "link": Form({"url": an_address}, {**_STYLED, "text": anything, "unsafe": anything}),
            "emoji": Form({"name": a_string}, {**_STYLED, "unicode": anything, "skin_tone": anything, "url": anything}),
            "user": Form({"user_id": a_string}, _STYLED),
            "usergroup": Form({"usergroup_id": a_string}, _STYLED),
            "channel": Form({"channel_id": a_string}, _STYLED),
            "team": Form({"team_id": a_string}, _STYLED),
            "broadcast": Form({"range": a_word("here", "channel", "everyone")}, _STYLED),
            "color": Form({"value": a_string}, _STYLED),
            "date": Form(
                {"timestamp": anything, "format": a_string}, {**_STYLED, "url": anything, "fallback": anything}
            ),
        },
    )
)
_SECTION: Final = Form({"elements": _RICH}, {"border": anything})
_RICH_PARTS: Final = {
    "rich_text_section": _SECTION,
    "rich_text_quote": _SECTION,
    "rich_text_preformatted": Form({"elements": _RICH}, {"border": anything, "language": a_string}),
    "rich_text_list": Form(
        {
            "elements": a_list(a_kind("a section", {"rich_text_section": _SECTION})),
            "style": a_word("bullet", "ordered"),
        },
        {"indent": anything, "offset": anything, "border": anything},
    ),
}
_RICH_TEXT: Final = Form({"elements": a_list(a_kind("a part of rich text", _RICH_PARTS))})
_CELL: Final = a_kind(
    "a cell",
    {"raw_text": Form({"text": a_string}), "raw_number": Form({}, {"value": anything, "text": anything})}
    | {"rich_text": _RICH_TEXT},
)

BLOCKS: Final[Mapping[str, Form]] = {
    "actions": Form({"elements": a_list(a_kind("an element", {**_PRESS, **_CHOOSE}))}),
    "context": Form({"elements": a_list(a_kind("an element", {**_TEXTS, **_IMAGE}))}),
    "context_actions": Form({"elements": a_list(a_kind("an element", _ASSIST))}),
    "divider": Form(),
    "file": Form({"external_id": a_string, "source": a_word("remote")}),
    "header": Form({"text": PLAIN}, {"level": anything}),
    "image": Form(
        {"alt_text": a_string},
        {"image_url": a_picture, "slack_file": anything, "title": PLAIN},
        ("image_url", "slack_file"),
    ),
    "input": Form(
        {"label": PLAIN, "element": a_kind("an element", {**_WRITE, **_CHOOSE})},
        {"hint": PLAIN, "optional": a_switch, "dispatch_action": a_switch},
    ),
    "markdown": Form({"text": a_string}),
    "rich_text": _RICH_TEXT,
    "section": Form(
        {},
        {
            "text": TEXT,
            "fields": a_list(TEXT),
            "accessory": a_kind("an element", {**_PRESS, **_CHOOSE, **_IMAGE}),
            "expand": a_switch,
        },
        ("text", "fields"),
    ),
    "table": Form({"rows": a_list(a_list(_CELL))}, {"column_settings": anything}),
    "video": Form(
        {"alt_text": a_string, "title": PLAIN, "thumbnail_url": a_picture, "video_url": a_string},
        {
            "title_url": a_string,
            "description": PLAIN,
            "author_name": a_string,
            "provider_name": a_string,
            "provider_icon_url": a_picture,
        },
    ),
}
# Blocks so young that their forms still move: known by name only.
YOUNG: Final = frozenset(
    {
        *("alert", "auth_provider", "call", "card", "carousel", "container", "data_table", "data_visualization"),
        *("plan", "task_card"),
    }
)
