// Verdicts: given on the cards, kept in the browser, saved as and read from a file of the feedback table.

const COLUMNS = ["lead_id", "as_of", "verdict", "reason", "given_by", "given_at", "note", "model_version"];
const verdicts = new Map();
const keyOf = (about) => JSON.stringify([about.lead_id, about.as_of]);
const isGiven = (verdict) => verdict !== undefined && verdict.verdict !== "";
let kept = true;

function say(message) {
  find("message").textContent = message;
}

// Reading and writing may be refused, by a setting or where there is no room.
function readKept() {
  try {
    const found = JSON.parse(localStorage.getItem(page.storage) ?? "{}");
    verdicts.clear();
    for (const [key, verdict] of found.verdicts ?? []) verdicts.set(key, verdict);
    find("reviewer").value = found.name ?? "";
  } catch {
    kept = false;
  }
}

function keep() {
  try {
    const content = { name: find("reviewer").value, verdicts: [...verdicts] };
    localStorage.setItem(page.storage, JSON.stringify(content));
    kept = true;
  } catch {
    kept = false;
  }
  showProgress();
}

function showProgress() {
  const given = cards.filter((card) => isGiven(verdicts.get(keyOf(card)))).length;
  find("judged").textContent = `${given} of ${cards.length} judged`;
  find("refused").hidden = kept;
}

const partsOf = (card) => ({
  radios: [...card.node.querySelectorAll(".verdict input")],
  reason: card.node.querySelector(".verdict select"),
  note: card.node.querySelector(".verdict textarea"),
});

function showVerdict(card) {
  const { radios, reason, note } = partsOf(card);
  const verdict = verdicts.get(keyOf(card)) ?? { verdict: "", reason: "", note: "" };
  for (const radio of radios) radio.checked = radio.value === verdict.verdict;
  reason.value = verdict.reason;
  note.value = verdict.note;
  card.node.classList.toggle("judged", isGiven(verdict));
  card.judged = verdict.verdict || "none";
}

function readVerdict(card) {
  const { radios, reason, note } = partsOf(card);
  const chosen = radios.find((radio) => radio.checked)?.value ?? "";
  const given = { verdict: chosen, reason: reason.value, note: note.value };
  if (chosen || given.reason || given.note) verdicts.set(keyOf(card), { ...given, given_at: new Date().toISOString() });
  else verdicts.delete(keyOf(card));
  card.node.classList.toggle("judged", chosen !== "");
  card.judged = chosen || "none";
  keep();
}

function giveVerdict(card, value) {
  for (const radio of partsOf(card).radios) radio.checked = radio.value === value;
  readVerdict(card);
  say(`${card.lead_id}: ${value}`);
}

function clearVerdict(card) {
  verdicts.delete(keyOf(card));
  showVerdict(card);
  keep();
}

function addForm(card) {
  const form = find("verdict").content.firstElementChild.cloneNode(true);
  form.querySelector("legend").textContent = `Your verdict on ${card.lead_id}`;
  for (const radio of form.querySelectorAll("input")) radio.name = `verdict-${card.index}`;
  form.addEventListener("input", () => readVerdict(card));
  form.querySelector("button").addEventListener("click", () => clearVerdict(card));
  card.node.append(form);
}

// CSV as in RFC 4180. A cell is written as it is, whatever it begins with: a program reads the file.
const writeCell = (cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const writeCsv = (rows) => rows.map((row) => `${row.map(writeCell).join(",")}\r\n`).join("");

function parseCsv(text) {
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const row = rows.at(-1);
    const last = row.length - 1;
    const letter = text[i];
    if (quoted && letter === '"' && text[i + 1] === '"') row[last] += text[i++];
    else if (letter === '"' && (quoted || row[last] === "")) quoted = !quoted;
    else if (quoted) row[last] += letter;
    else if (letter === ",") row.push("");
    else if (letter === "\n") rows.push([""]);
    else if (letter !== "\r") row[last] += letter;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

function saveFile() {
  const name = find("reviewer").value.trim();
  if (!name) {
    say("Write your name first: the file says whose verdicts these are.");
    find("reviewer").focus();
    return;
  }
  const rows = cards
    .filter((card) => isGiven(verdicts.get(keyOf(card))))
    .map((card) => ({ ...verdicts.get(keyOf(card)), ...card, given_by: name }));
  const content = writeCsv([COLUMNS, ...rows.map((row) => COLUMNS.map((column) => row[column]))]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "text/csv;charset=utf-8" }));
  link.download = `feedback-${name.replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
  const open = [...verdicts.values()].filter((verdict) => !isGiven(verdict)).length;
  say(`${rows.length} verdicts saved.${open ? ` ${open} notes without agree or disagree are left out.` : ""}`);
}

async function loadFile(file) {
  const [header, ...lines] = parseCsv(await file.text());
  const missing = COLUMNS.filter((column) => !header?.includes(column));
  if (missing.length) return say(`This is no file of verdicts: it lacks ${missing.join(", ")}.`);
  const rows = lines.map((line) => Object.fromEntries(header.map((column, i) => [column, line[i] ?? ""])));
  const reviewer = find("reviewer");
  reviewer.value = reviewer.value.trim() || (rows[0]?.given_by ?? "");
  const own = rows.filter((row) => row.given_by === reviewer.value.trim());
  const known = new Map(cards.map((card) => [keyOf(card), card]));
  const here = own.filter((row) => known.has(keyOf(row)) && ["agree", "disagree"].includes(row.verdict));
  const newer = here.filter((row) => !(verdicts.get(keyOf(row))?.given_at > row.given_at));
  for (const { verdict, reason, note, given_at, ...about } of newer) verdicts.set(keyOf(about), { verdict, reason, note, given_at });
  cards.forEach(showVerdict);
  keep();
  const left = [
    [rows.length - own.length, `given by somebody else than ${reviewer.value}`],
    [own.length - here.length, "not about a lead of this page"],
    [here.length - newer.length, "older than what is here"],
  ].filter(([n]) => n > 0);
  return say([`${newer.length} verdicts loaded.`, ...left.map(([n, why]) => `${n} left out: ${why}.`)].join(" "));
}

function startVerdicts() {
  cards.forEach(addForm);
  readKept();
  cards.forEach(showVerdict);
  showProgress();
  find("reviewer").addEventListener("input", keep);
  find("save").addEventListener("click", saveFile);
  find("load").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await loadFile(file);
    event.target.value = "";
  });
  addEventListener("storage", (event) => {
    if (event.key !== page.storage) return;
    readKept();
    cards.forEach(showVerdict);
    showProgress();
  });
  addEventListener("beforeunload", (event) => {
    if (!kept && verdicts.size) event.preventDefault();
  });
}
