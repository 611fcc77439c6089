"""Control of the simulated Slack, under `/_sim/slack/`."""

from aiohttp import web

from simulator.slack.call import Slack
from simulator.slack.control_apps import AppControl
from simulator.slack.control_events import EventControl
from simulator.slack.control_people import PeopleControl
from simulator.slack.control_presses import PressControl
from simulator.slack.events import EventSender
from simulator.slack.happenings import Happenings


def slack_control_routes(slack: Slack, sender: EventSender) -> list[web.RouteDef]:
    """Apps and installs, people, events, presses."""
    happen = Happenings(slack, sender)
    return [
        *AppControl(slack, sender, happen).routes(),
        *PeopleControl(slack, happen).routes(),
        *EventControl(slack, sender, happen).routes(),
        *PressControl(slack, sender).routes(),
    ]
