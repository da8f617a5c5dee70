// The two cut-offs as sliders over what each score would give; the MQL cut-off stays under the SQL one.

const sliders = { mql: find("cut-mql"), sql: find("cut-sql") };
const inUse = sliders.mql && { mql: sliders.mql.value, sql: sliders.sql.value };

function showTradeoff() {
  const lines = Object.entries(sliders).map(([tier, slider]) => {
    const row = page.tradeoff[Number(slider.value)];
    find(`at-${tier}`).textContent = row.score;
    slider.setAttribute("aria-valuetext", `score ${row.score}`);
    return makeRow([tier.toUpperCase(), row.score, row.volume, row.precision, row.recall, row.gain]);
  });
  find("tradeoff-rows").replaceChildren(...lines);
  find("both").textContent = tellBoth();
}

// Leads from the SQL cut-off up are called, those between the two cut-offs are nurtured.
function tellBoth() {
  const [mql, sql] = ["mql", "sql"].map((tier) => page.tradeoff[Number(sliders[tier].value)]);
  if (typeof sql.gain_call !== "number" || typeof mql.gain_nurture !== "number") return "";
  const gain = sql.gain_call + mql.gain_nurture - sql.gain_nurture;
  return `Both together gain ${Math.round(gain).toLocaleString("en-US")} per 100 snapshots.`;
}

function makeRow(texts) {
  const row = document.createElement("tr");
  texts.forEach((text, i) => {
    const cell = document.createElement(i ? "td" : "th");
    if (!i) cell.scope = "row";
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

function moveCutoff(tier) {
  const mql = Number(sliders.mql.value);
  const sql = Number(sliders.sql.value);
  if (mql > sql) sliders[tier === "mql" ? "sql" : "mql"].value = tier === "mql" ? mql : sql;
  showTradeoff();
}

function startTradeoff() {
  for (const tier of Object.keys(sliders)) sliders[tier].addEventListener("input", () => moveCutoff(tier));
  find("cut-back").addEventListener("click", () => {
    for (const tier of Object.keys(sliders)) sliders[tier].value = inUse[tier];
    showTradeoff();
  });
  document.querySelector(".sliders").hidden = false;
  showTradeoff();
}

if (sliders.mql) startTradeoff();
if (cards.length) {
  startVerdicts();
  startLeads();
}
addEventListener("hashchange", followLink);
showView(views[0]);
followLink();
