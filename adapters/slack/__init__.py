"""The Slack side: Slack's events in, messages out through `chat.postMessage`. The only room that imports slack_*."""
