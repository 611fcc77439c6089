"""A local Slack, Teams connector, Entra and Graph: as strict as the platforms, and able to misbehave on demand.

It imports nothing of the product it judges, so a wrong constant cannot agree with itself.
"""
