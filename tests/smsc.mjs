// An SMSC for tests, on npm "smpp": one JSON object a line in (orders) and out (what happened).
// Orders: {"receipts": "delivered"|"undeliverable"|"none"}, {"throttle": n}, {"refuse": status},
// {"mute": true}, {"mo": {"from", "text", "coding"}}, {"raw_receipt": {"text"}}, {"drop": true}.
import { createInterface } from "node:readline";
import smpp from "smpp";

const [port, systemId, password] = process.argv.slice(2);
const state = { receipts: "delivered", throttle: 0, refuse: 0, mute: false, mute_after: 1e9, next: 1 };
const sessions = new Set();
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const address = (number) => ({ addr: number, ton: 1, npi: 1 });

function receiptText(id, stat, err) {
  return `id:${id} sub:001 dlvrd:001 submit date:261126010203 done date:261126010204 stat:${stat} err:${err} text:`;
}

function sendReceipt(session, pdu, id) {
  const delivered = state.receipts === "delivered";
  session.deliver_sm({
    source_addr: pdu.destination_addr, source_addr_ton: 1, source_addr_npi: 1,
    destination_addr: pdu.source_addr, esm_class: 4, data_coding: 0,
    short_message: receiptText(id, delivered ? "DELIVRD" : "UNDELIV", delivered ? "000" : "00A"),
  }, () => say({ receipt_answered: id }));
}

function onSubmit(session, pdu) {
  if (state.mute || state.next > state.mute_after) return say({ muted: pdu.destination_addr });
  if (state.throttle > 0) {
    state.throttle -= 1;
    return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
  }
  if (state.refuse) return session.send(pdu.response({ command_status: state.refuse }));
  const id = `m${state.next++}`;
  const { udh, message } = pdu.short_message;
  say({
    submit: id, to: pdu.destination_addr, from: pdu.source_addr, coding: pdu.data_coding, esm: pdu.esm_class,
    udh: udh ? udh.map((element) => Buffer.from(element).toString("hex")) : [], text: message.toString(),
    sar: pdu.sar_total_segments ? [pdu.sar_msg_ref_num, pdu.sar_segment_seqnum, pdu.sar_total_segments] : [],
  });
  session.send(pdu.response({ message_id: id }));
  if (state.receipts !== "none") sendReceipt(session, pdu, id);
}

const server = smpp.createServer((session) => {
  session.on("error", () => {});
  session.on("close", () => sessions.delete(session));
  session.on("bind_transceiver", (pdu) => {
    const isKnown = pdu.system_id === systemId && pdu.password === password;
    session.send(pdu.response({ command_status: isKnown ? 0 : smpp.ESME_RINVPASWD }));
    if (!isKnown) return session.close();
    sessions.add(session);
    say({ bound: pdu.system_id });
  });
  session.on("submit_sm", (pdu) => onSubmit(session, pdu));
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => { session.send(pdu.response()); session.close(); });
});
server.listen(Number(port), "127.0.0.1", () => say({ listening: Number(port) }));

function order(line) {
  const wish = JSON.parse(line);
  for (const session of sessions) {
    if (wish.mo) {
      session.deliver_sm({
        source_addr: wish.mo.from, source_addr_ton: 1, source_addr_npi: 1, destination_addr: "1033",
        data_coding: wish.mo.coding, short_message: wish.mo.text,
      }, () => say({ mo_answered: wish.mo.text }));
    }
    if (wish.raw_receipt) {
      session.deliver_sm({ source_addr: "1", esm_class: 4, short_message: wish.raw_receipt.text },
        () => say({ receipt_answered: wish.raw_receipt.text }));
    }
    if (wish.drop) session.destroy();
  }
  for (const name of Object.keys(wish)) if (name in state) state[name] = wish[name];
  say({ ordered: wish.order });
}
createInterface({ input: process.stdin }).on("line", order).on("close", () => process.exit(0));
