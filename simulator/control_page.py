"""The page of the control API: one file, no external resources, refreshed every two seconds."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Platform simulator</title>
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;max-width:80rem}
table{border-collapse:collapse;margin:.3rem 0 1rem}td,th{border:1px solid #ccc;padding:.15rem .5rem;text-align:left;
vertical-align:top}pre{background:#f4f4f4;padding:.5rem;overflow:auto;max-height:24rem}
textarea{width:100%;height:4rem;font-family:monospace}h2{margin-bottom:.2rem}
</style>
<h1>Platform simulator</h1>
<h2>Mailboxes</h2><p><a href="/_sim/mailbox">As people see them</a>. <span id="total"></span></p>
<table id="messages"></table>
<h2>Counters</h2><table id="counters"></table>
<h2>Faults</h2><table id="faults"></table>
<form id="add"><label>Add a fault (JSON)
<textarea>{"platform": "slack", "operation": "chat.postMessage", "status": 503, "times": 3}</textarea></label>
<button>Add</button> <button type="button" id="clear">Remove all faults</button>
<button type="button" id="reset">Reset mailboxes, counters, faults and limits</button> <span id="said"></span></form>
<h2>World</h2><pre id="state"></pre>
<script>
"use strict";
const $ = id => document.getElementById(id);
function row(cells, tag) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement(tag);
    td.append(cell ?? "");
    tr.append(td);
  }
  return tr;
}
function table(id, head, rows) { $(id).replaceChildren(row(head, "th"), ...rows.map(r => row(r, "td"))); }
const get = async path => (await fetch("/_sim/" + path)).json();
const said = m => m.body.text || (m.body.attachments ? "(card)" : JSON.stringify(m.body)).slice(0, 200);
function person(m) {
  if (!m.email) return m.user_id;
  const a = document.createElement("a");
  a.textContent = m.email;
  a.href = "/_sim/mailbox?" + new URLSearchParams({platform: m.platform, email: m.email});
  return a;
}
const effect = f => JSON.stringify(Object.fromEntries(Object.entries(f).filter(([k, v]) =>
  !["id", "platform", "operation", "seen", "fired"].includes(k) && v !== null && v !== false && v !== 0)));
async function refresh() {
  const [state, mail, counters, faults] = await Promise.all(
    ["state", "mailboxes?limit=20", "counters", "faults"].map(get));
  $("state").textContent = JSON.stringify(state, null, 2);
  $("total").textContent = mail.total + " messages; the newest:";
  table("messages", ["at", "platform", "person", "message"],
    mail.messages.reverse().map(m => [m.at, m.platform, person(m), said(m)]));
  table("counters", ["platform", "operation", "tenant", "calls", "429"],
    counters.counters.map(c => [c.platform, c.operation, c.tenant, c.calls, c.throttled]));
  table("faults", ["id", "platform", "operation", "effect", "seen", "applied"],
    faults.faults.map(f => [f.id, f.platform, f.operation || "any", effect(f), f.seen, f.fired]));
}
async function send(path, method, body) {
  const answer = await fetch("/_sim/" + path, {method, body});
  $("said").textContent = answer.ok ? "done" : await answer.text();
  refresh();
}
$("add").onsubmit = e => { e.preventDefault(); send("faults", "POST", e.target.querySelector("textarea").value); };
$("clear").onclick = () => send("faults", "DELETE");
$("reset").onclick = () => send("reset", "POST");
refresh(); setInterval(refresh, 2000);
</script></html>
"""
