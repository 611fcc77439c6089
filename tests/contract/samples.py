"""Bodies that Kore has published, to the letter.

Sources: docs.kore.ai/xo/apis/automation/proactive-notifications (text), the first published version of that page
(three identities), Koredotcom/docs-v2: …/proactive-notification-api-interactive-element-ms-teams.mdx (card).
"""

from __future__ import annotations

TEXT = (
    b'{"channel":"msteams","userIdentityType":"resolve","message":{"type":"text","val":"Please reset your password."},'
    b'"identities":["john.doe@example.com"]}'
)
THREE = (
    b'{"channel":"msteams","userIdentityType":"resolve","message":{"type":"text","val":"hello"},'
    b'"identities":["john@kore.com","jane@outlook.com","sam@slack.com"]}'
)
CARD = rb"""{"channel":"msteams","userIdentityType":"resolve","message":{"type":"script",
 "val":"{\"type\":\"message\",\"speak\":\"\",\"attachments\":[{\"contentType\":\"application/vnd.microsoft.card.adaptive\",\"content\":{\"$schema\":\"https://adaptivecards.io/schemas/adaptive-card.json\",\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"body\":[{\"type\":\"ColumnSet\",\"id\":\"idx0\",\"columns\":[{\"type\":\"Column\",\"items\":[{\"type\":\"Image\",\"style\":\"Person\",\"url\":\"https://lever-client-logos.s3.amazonaws.com/965b74f1-3802-484a-9511-459bbdaccb55-1572990729555.png\",\"size\":\"Medium\"}],\"width\":\"auto\"},{\"type\":\"Column\",\"items\":[{\"type\":\"TextBlock\",\"text\":\"Status: **Closed**\",\"spacing\":\"small\",\"wrap\":true},{\"type\":\"TextBlock\",\"text\":\"Description: GDC Sow for development for Golden Fortress\",\"spacing\":\"Small\",\"separator\":true,\"wrap\":true},{\"type\":\"TextBlock\",\"spacing\":\"small\",\"text\":\"Total Value: 33615.00\",\"wrap\":true},{\"type\":\"TextBlock\",\"spacing\":\"small\",\"text\":\"Creation Date: 2021-08-15T16:24:17-07:0\",\"wrap\":true}],\"width\":\"stretch\"},{\"type\":\"Column\",\"items\":[{\"type\":\"ActionSet\",\"actions\":[{\"type\":\"Action.Submit\",\"title\":\"1190148660\",\"data\":{\"msteams\":{\"type\":\"imBack\",\"value\":\"Reopen ticket number INC03004614\"}}}],\"spacing\":\"None\",\"horizontalAlignment\":\"Right\",\"separator\":true}],\"width\":\"auto\",\"spacing\":\"Small\"}],\"separator\":true,\"spacing\":\"Large\"}]}}]}"},
 "identities":["john.doe@example.com","jane.doe@example.com"]}"""  # noqa: E501
SCRIPT = (
    b'{"type":"script","val":"var envMsg = \'John\'; var channel = context.session.BotUserSession.lastMessage.channel; '
    b"print(JSON.stringify({text: 'Hi ' + envMsg + ' message is from ' + channel + ' channel'}));\"}"
)
QA_SCRIPT = b'{"type":"script","val":"print(JSON.stringify({text:\'Enterprise Plan JS\'}))"}'
V2 = (
    b'{"channel":"ivr","webhookInstanceName":"Webhook","userIdentityType":"resolve","content":{"type":"text",'
    b'"value":"Hello! Your order has been shipped."},"identities":[{"email":"user@example.com",'
    b'"customMessage":"Hi John, your package is on the way!"},{"email":"user@example.com"}]}',
    b'{"channel":"ivr","webhookInstanceName":"Webhook","userIdentityType":"resolve","content":{"type":"text",'
    b'"value":"Hello {name}! Your reference number is {refId}."},"identities":[{"email":"user@example.com",'
    b'"parameters":{"name":"Charlie","refId":"XYZ-789"}},{"email":"user@example.com",'
    b'"parameters":{"name":"Diana","refId":"UVW-012"}}]}',
    b'{"channel":"ivr","webhookInstanceName":"Webhook","userIdentityType":"resolve","content":{"type":"template",'
    b'"value":"Hello {name}, your order ID is {orderId}."},"identities":[{"email":"user@example.com",'
    b'"parameters":{"name":"Alice","orderId":"ABC-123"}},{"email":"user@example.com",'
    b'"parameters":{"name":"Bob","orderId":"DEF-456"}}]}',
    b'{"channel":"msteams","userIdentityType":"resolve","message":{"type":"template","value":{"type":"message",'
    b'"attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{'
    b'"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","type":"AdaptiveCard","version":"1.0",'
    b'"body":[{"type":"TextBlock","text":"Hello from Kore API","wrap":true,"size":"medium","weight":"bolder"}]}}]}},'
    b'"identities":[{"email":"john.do@example.com"}]}',
)
"""Koredotcom/docs-v2: ai-for-service/apis/automation/proactive-notifications-v2.mdx."""
