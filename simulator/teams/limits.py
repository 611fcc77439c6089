"""The documented limits of Teams bots and Microsoft Graph, as the simulator enforces them.

Sources: Microsoft Teams, "Optimize your bot with rate limiting in Teams"; Microsoft Graph, "Microsoft Graph
service-specific throttling limits" (identity and access; Teams) and "Query parameters: known issues".
"""

from simulator.limits import Rate

APP_PER_TENANT = (Rate(50, 1),)
"""Everything an app asks of the connector in one tenant."""

SEND_PER_CONVERSATION = (Rate(7, 1), Rate(8, 2), Rate(60, 30), Rate(1800, 3600))
CREATE_PER_CONVERSATION = SEND_PER_CONVERSATION
MEMBERS_PER_CONVERSATION = (Rate(14, 1), Rate(16, 2), Rate(120, 30), Rate(3600, 3600))

INSTALLED_APPS_READ_WRITE = (Rate(30, 1),)
"""GET and POST of installedApps, each per app and tenant."""
INSTALLED_APPS_DELETE = (Rate(15, 1),)

SMALL_TENANT_BELOW = 50
LARGE_TENANT_ABOVE = 500
GRAPH_UNITS_SMALL = (Rate(3500, 10),)
GRAPH_UNITS_MEDIUM = (Rate(5000, 10),)
GRAPH_UNITS_LARGE = (Rate(8000, 10),)

MESSAGE_BYTES_UTF16 = 102_400
"""About 100 KB, counted in UTF-16, without inline images."""

BATCH_REQUESTS = 20
OR_CLAUSES = 15
FILTER_VALUE_LENGTH = 120
PAGE_DEFAULT = 100
PAGE_MAXIMUM = 999


def graph_units(people: int) -> tuple[Rate, ...]:
    """The resource units that a tenant of this size grants to one app."""
    if people < SMALL_TENANT_BELOW:
        return GRAPH_UNITS_SMALL
    return GRAPH_UNITS_LARGE if people > LARGE_TENANT_ABOVE else GRAPH_UNITS_MEDIUM
