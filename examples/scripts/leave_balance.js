// A word for each person, on either channel: try it with
// herald preview --script examples/scripts/leave_balance.js --parameters examples/leave_balance.csv
const user = context.session.UserContext;
const channel = context.session.BotUserSession.lastMessage.channel;
const { days, until } = user.customData; // this person's parameters
const name = user.firstName || "colleague"; // empty where the directory does not know it

if (Number(days) === 0) {
  print(`Dear ${name}, you have taken all your leave. Well done.`); // plain text
} else {
  const says = `Dear ${name}, you have ${days} days of leave left. They lapse on ${until}.`;
  const url = "https://leave.example.com";
  koreDebugger.log(`${user.emailId}: ${days} days`); // shown in details.scriptLog
  print(
    channel === "slack"
      ? {
          text: says,
          blocks: [
            { type: "section", text: { type: "plain_text", text: says } },
            {
              type: "actions",
              elements: [{ type: "button", action_id: "plan", text: { type: "plain_text", text: "Plan them" }, url }],
            },
          ],
        }
      : {
          summary: says,
          attachments: [
            {
              contentType: "application/vnd.microsoft.card.adaptive",
              content: {
                type: "AdaptiveCard",
                version: "1.4",
                body: [{ type: "TextBlock", text: says, wrap: true }],
                actions: [{ type: "Action.OpenUrl", title: "Plan them", url }],
              },
            },
          ],
        },
  );
}
