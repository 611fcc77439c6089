#!/bin/sh
# Send a ready request with nothing but curl: examples/send.sh examples/requests/reminder_slack.json
# A request of notifyV2: examples/send.sh examples/requests/payslip_slack.json notifyV2
# What each person would get: examples/send.sh examples/requests/payslip_slack.json preview
set -eu
curl --fail-with-body --silent --show-error \
  --header "auth: $HERALD_TOKEN" --header "Content-Type: application/json" \
  --data-binary "@$1" "${HERALD_URL%/}/api/public/bot/$HERALD_BOT/${2:-notify}"
echo
