"""Your password is about to expire: each day, tell those whose last days have come, on the channel they use.

The list would come from the directory; here it is given. Run: python examples/password_expiry.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import herald_client as herald  # type: ignore[import-not-found] # stands beside this file, where Python runs it

REQUESTS = Path(__file__).parent / "requests"
EXPIRING = {"ada.park@example.com": "slack", "ben.osei@example.com": "msteams"}
MESSAGES = {"slack": "password_expiry_slack.json", "msteams": "password_expiry_teams.json"}


def main() -> None:
    """One request for each channel, however many people it has."""
    people = defaultdict(list)
    for email, channel in EXPIRING.items():
        people[channel].append(email)
    for channel, emails in people.items():
        body = json.loads((REQUESTS / MESSAGES[channel]).read_text(encoding="utf-8"))
        print(herald.report(herald.follow(herald.send(body | {"identities": emails}))))


if __name__ == "__main__":
    main()
